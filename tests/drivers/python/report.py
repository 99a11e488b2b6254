"""Tries a driver with each folder that the command line names, and prints a line for each."""

import asyncio
import inspect
import sys
from pathlib import Path

QUERY = "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def attempt(way, secret):
    """What a login comes to: who it is and how, or why it is none."""
    try:
        row = way(secret)
        row = asyncio.run(row) if inspect.iscoroutine(row) else row
        return "in", *row
    except Exception as error:  # whatever a driver thinks of
        text = " ".join(str(error).split())
        return "refused", f"{type(error).__name__}: {text}"


def report(driver, version, **ways):
    print(driver, "version", version, sep="\t")
    for folder in sys.argv[1:]:
        for name, way in ways.items():
            print(driver, name, folder, *attempt(way, Path(folder)), sep="\t", flush=True)
