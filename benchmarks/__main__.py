"""Run benchmarks, print a table of each and keep it as JSON with the machine's description."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "local"


def names() -> list[str]:
    modules = (m.name for m in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(
        name
        for name in modules
        if name != "__main__" and hasattr(importlib.import_module(f"benchmarks.{name}"), "run")
    )


def measure(name: str, quick: bool) -> Path:
    """Run one benchmark and write its JSON. Its ``rows`` are a list of flat records."""
    started = time.time()
    found = importlib.import_module(f"benchmarks.{name}").run(quick)
    record = {"benchmark": name, "quick": quick, "time": started, "machine": describe(), **found}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    show(name, found["rows"])
    return path


def show(name: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=name)
    for column in rows[0] if rows else ():
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row.values()))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    given = parser.parse_args()
    if unknown := set(given.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    for name in given.names or names():
        print(f"kept in {measure(name, given.quick)}")


if __name__ == "__main__":
    main()
