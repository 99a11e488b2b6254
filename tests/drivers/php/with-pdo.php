<?php
require __DIR__ . '/report.php';

function ask(PDO $connection): array
{
    return $connection->query(QUERY)->fetch(PDO::FETCH_NUM);
}

// No key is a DSN of PDO's: this one is made of keys as they are.
function published(string $secret): array
{
    $read = fn ($key) => file_get_contents("$secret/$key");
    $dsn = "pgsql:host={$read('host')};port={$read('port')};dbname={$read('database')};sslmode={$read('sslmode')}";
    return ask(new PDO($dsn, $read('username'), $read('password')));
}

function lines(string $secret): array
{
    // docs: PDO
    $read = fn ($key) => file_get_contents("$secret/$key");
    $dsn = "pgsql:host={$read('host')};port={$read('port')};sslmode={$read('sslmode')};sslrootcert=$secret/ca.crt";
    $dsn .= ";dbname='" . addcslashes($read('database'), "\\'") . "'";
    $connection = new PDO($dsn, $read('username'), $read('password'));
    // end
    return ask($connection);
}

report('PHP, PDO', published(...), lines(...));
