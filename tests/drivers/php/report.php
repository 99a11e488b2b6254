<?php
// Tries a driver with each folder that the command line names, and prints a line for each.

const QUERY = "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

// The driver's warnings become errors: in one of them is why it refuses.
set_error_handler(function (int $level, string $message): bool {
    throw new ErrorException($message, 0, $level);
});

// What a login comes to: who it is and how, or why it is none.
function attempt(callable $way, string $secret): array
{
    try {
        return ['in', ...$way($secret)];
    } catch (Throwable $error) {
        return ['refused', trim(preg_replace('/\s+/', ' ', $error->getMessage()))];
    }
}

function report(string $driver, callable $published, callable $lines): void
{
    global $argv;
    printf("%s\tversion\t%s\n", $driver, PHP_VERSION);
    foreach (array_slice($argv, 1) as $folder) {
        foreach (['published' => $published, 'lines' => $lines] as $name => $way) {
            echo implode("\t", [$driver, $name, $folder, ...attempt($way, $folder)]), "\n";
        }
    }
}
