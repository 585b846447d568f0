"""Run benchmarks, print a table of each and keep it as JSON with the machine's description.

A benchmark named alone takes arguments of its own: see ``python -m benchmarks NAME --help``.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import pkgutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.machine import describe

FILE_COLUMNS = 180
"""Width of tables where there is no terminal."""
RESULTS = Path(__file__).parent / "results" / "local"


def names() -> list[str]:
    modules = (m.name for m in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in modules if name != "__main__" and hasattr(_module(name), "run"))


def measure(name: str, quick: bool, **options: Any) -> Path:
    """Run one benchmark and write its JSON. Each list of flat records in it is shown."""
    started = time.time()
    found = _module(name).run(quick, **options)
    record = {"benchmark": name, "quick": quick, "time": started, "machine": describe(), **found}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    for key, rows in found.items():
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            show(name if key == "rows" else f"{name}: {key.replace('_', ' ')}", rows)
    return path


def show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title)
    for column in rows[0] if rows else ():
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row.values()))
    console = Console(width=None if sys.stdout.isatty() else FILE_COLUMNS)
    console.print(table)


def main(arguments: Sequence[str]) -> None:
    chosen = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    parser = _parser(chosen)
    if unknown := set(chosen) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    options = vars(parser.parse_args(arguments[len(chosen) :]))
    for name in chosen or names():
        try:
            print(f"kept in {measure(name, **options)}")
        except ValueError as error:
            parser.error(f"{name}: {error}")


def _parser(chosen: Sequence[str]) -> argparse.ArgumentParser:
    usage = f"python -m benchmarks [NAME…] [--quick]    NAME: {', '.join(names())}"
    parser = argparse.ArgumentParser(usage=usage, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    if len(chosen) == 1 and chosen[0] in names():
        add = getattr(_module(chosen[0]), "add_arguments", None)
        if add is not None:
            add(parser)
    return parser


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


if __name__ == "__main__":
    main(sys.argv[1:])
