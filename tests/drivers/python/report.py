"""Tries a driver with each folder that the command line names, and prints a line for each."""

import asyncio
import inspect
import os
import sys
from pathlib import Path

QUERY = "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def attempt(way, secret):
    """What a login comes to: who it is and how, or why it is none."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    try:
        row = way(secret)
        row = asyncio.run(row) if inspect.iscoroutine(row) else row
        return "in", *row
    except Exception as error:  # whatever a driver thinks of
        text = " ".join(str(error).split())
        return "refused", f"{type(error).__name__}: {text}"


def take_variables(secret, *names):
    """What the preset libpq has, in the environment as long as one login takes."""
    for file in (secret / "presets/libpq").glob("PG*"):
        if not names or file.name in names:
            os.environ[file.name] = file.read_text()


def by_preset(preset, key, way):
    """The way that connects by what one key of a preset says."""
    return {f"preset {preset}": lambda secret: way((secret / "presets" / preset / key).read_text())}


def report(driver, version, **ways):
    print(driver, "version", version, sep="\t")
    for folder in sys.argv[1:]:
        for name, way in ways.items():
            print(driver, name, folder, *attempt(way, Path(folder)), sep="\t", flush=True)
