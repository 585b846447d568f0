"""``farmctl conformance DIR``: judge this build by the vector files of a folder."""

from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from farmctl import conformance
from farmctl.conformance import Case, judge
from farmctl.errors import NotFound

#: How many failures of one file are listed; the count covers them all.
LISTED_FAILURES = 20


@dataclass(frozen=True)
class Outcome:
    """The verdict on one file; ``cases`` is None where its form is not known."""

    name: str
    cases: tuple[Case, ...] | None

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases or ())

    @property
    def failed(self) -> int:
        return len(self.cases or ()) - self.passed


def known_forms() -> set[str]:
    """Names of the vector files that there is a judge for."""
    modules = pkgutil.iter_modules(conformance.__path__)
    return {module.name for module in modules if not module.name.startswith("_")}


def judge_file(path: Path) -> Outcome:
    """Judge one vector file. One that is malformed, or holds no case, has failed."""
    name = path.stem
    if name not in known_forms():
        return Outcome(name, None)
    module = importlib.import_module(f"farmctl.conformance.{name}")
    stems = (name, *getattr(module, "COMPANIONS", ()))
    cases: list[Case] = []

    def read() -> list[str]:
        files = (path.with_name(f"{stem}.json") for stem in stems)
        cases.extend(module.run(*[json.loads(file.read_text("utf-8")) for file in files]))
        return [] if cases else ["the file holds no case"]

    whole = judge("the file", read)
    return Outcome(name, tuple(cases if whole.passed else [*cases, whole]))


def judge_folder(folder: Path) -> list[Outcome]:
    """Judge every ``.json`` file of a folder, by name; raises `NotFound` where there is none."""
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise NotFound(f"{folder} holds no vector files (*.json); name the folder that does")
    return [judge_file(path) for path in paths]


def report(outcome: Outcome) -> None:
    if outcome.cases is None:
        typer.echo(f"{outcome.name}: not a known vector form")
        return
    typer.echo(f"{outcome.name}: {outcome.passed} passed, {outcome.failed} failed")
    failures = [case for case in outcome.cases if not case.passed]
    for case in failures[:LISTED_FAILURES]:
        typer.echo(f"  {case.name}: {case.reason}")
    if len(failures) > LISTED_FAILURES:
        typer.echo(f"  … and {len(failures) - LISTED_FAILURES} more")


def register(app: typer.Typer) -> None:
    @app.command("conformance")
    def run_vectors(
        folder: Annotated[Path, typer.Argument(help="Folder of vector files (*.json).")],
    ) -> None:
        """Check this build against vector files; exit 0 only if none failed."""
        outcomes = judge_folder(folder)
        for outcome in outcomes:
            report(outcome)
        failed = sum(outcome.failed for outcome in outcomes)
        typer.echo(f"total: {sum(o.passed for o in outcomes)} passed, {failed} failed")
        raise typer.Exit(1 if failed else 0)
