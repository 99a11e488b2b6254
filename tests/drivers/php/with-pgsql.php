<?php
require __DIR__ . '/report.php';

function ask(PgSql\Connection $connection): array
{
    $row = pg_fetch_row(pg_query($connection, QUERY));
    pg_close($connection);
    return $row;
}

function published(string $secret): array
{
    return ask(pg_connect(file_get_contents("$secret/uri"), PGSQL_CONNECT_FORCE_NEW));
}

function lines(string $secret): array
{
    // docs: pg_connect
    $uri = file_get_contents("$secret/uri") . "&sslrootcert=$secret/ca.crt";
    $connection = pg_connect($uri, PGSQL_CONNECT_FORCE_NEW);
    // end
    return ask($connection);
}

report('PHP, pg_connect', published(...), lines(...));
