"""``farmctl conformance PATH``: judge this build by vector files and official tests."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from farmctl import conformance
from farmctl.conformance import Case, Tally, judge
from farmctl.conformance._engine import Engine, opened_engine
from farmctl.conformance._machine import CHECKED
from farmctl.conformance._official import File, is_archive, judge_files, read_files
from farmctl.errors import NotFound
from farmctl.model_sessions import REFERENCE
from node.spec.vm.frame import Interpret

#: How many failures of one file are listed; the count covers them all.
LISTED_FAILURES = 20


class Choice(StrEnum):
    BOTH = "both"
    FAST = "fast"
    READABLE = "readable"


def known_forms() -> set[str]:
    """Names of the vector files that there is a judge for."""
    modules = pkgutil.iter_modules(conformance.__path__)
    return {module.name for module in modules if not module.name.startswith("_")}


def judge_vectors(
    path: Path, interpreters: Mapping[str, Interpret] = CHECKED, engine: Engine | None = None
) -> Tally:
    """Judge one vector file. One that is malformed, or holds no case, has failed."""
    module = _module(path.stem)
    options = {"engine": engine} if engine else {}
    cases: list[Case] = []

    def read() -> list[str]:
        stems = (path.stem, *getattr(module, "COMPANIONS", ()))
        files = (path.with_name(f"{stem}.json") for stem in stems)
        contents = [json.loads(file.read_text("utf-8")) for file in files]
        cases.extend(_run(partial(module.run, *contents, **options), interpreters))
        return [] if cases else ["the file holds no case"]

    whole = judge("the file", read)
    return Tally(path.stem, tuple(cases if whole.passed else [*cases, whole]))


def _module(stem: str) -> Any:
    return importlib.import_module(f"farmctl.conformance.{stem}")


def _takes(run: Callable[..., Any], argument: str) -> bool:
    return argument in inspect.signature(run).parameters


def _run(
    run: Callable[..., Iterable[Case]], interpreters: Mapping[str, Interpret]
) -> Iterator[Case]:
    if not _takes(run, "interpret"):
        yield from run()
        return
    for name, interpret in interpreters.items():
        for case in run(interpret=interpret):
            yield Case(f"{case.name} ({name})", case.passed, case.reason)


def judge_inferences(
    path: Path, interpreters: Mapping[str, Interpret], engine: Engine
) -> Iterator[Tally]:
    """Judge by an engine the files of a folder, or the one file, that hold inferences.

    Raises `NotFound` where there is none.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    files = [each for each in files if each.stem in known_forms()]
    files = [each for each in files if _takes(_module(each.stem).run, "engine")]
    if not files:
        raise NotFound(f"{path} holds no vectors of inferences")
    for file in files:
        yield judge_vectors(file, interpreters, engine)


def judge_path(path: Path, interpreters: Mapping[str, Interpret] = CHECKED) -> Iterator[Tally]:
    """Judge a file, an archive, or all there are in a folder and below, by name.

    Raises `NotFound` where there is none.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    vectors = [file for file in files if file.suffix == ".json" and file.stem in known_forms()]
    others = [file for file in files if file.suffix == ".json" and file not in vectors]
    archives = [file for file in files if is_archive(file)]
    if not (vectors or others or archives):
        raise NotFound(f"{path} holds no vector files (*.json) and no archive of them (*.tar.xz)")
    for file in vectors:
        yield judge_vectors(file, interpreters)
    yield from judge_files(_read(others), interpreters)
    for file in archives:
        yield from judge_files(read_files(file), interpreters)


def _read(paths: Iterable[Path]) -> Iterator[File]:
    return ((str(path), path.read_text("utf-8", "replace")) for path in paths)


def report(tally: Tally) -> None:
    if tally.cases is None:
        typer.echo(f"{tally.name}: not a known vector form")
        return
    for reason, count in tally.inapplicable.items():
        typer.echo(f"{tally.name}: {count} not applicable: {reason}")
    if tally.inapplicable:
        return
    typer.echo(f"{tally.name}: {tally.passed} passed, {tally.failed} failed")
    failures = [case for case in tally.cases if not case.passed]
    for case in failures[:LISTED_FAILURES]:
        typer.echo(f"  {case.name}: {case.reason}")
    if len(failures) > LISTED_FAILURES:
        typer.echo(f"  … and {len(failures) - LISTED_FAILURES} more")


def _report_all(tallies: Iterable[Tally]) -> int:
    """Says what came out; returns how many cases failed."""
    passed, failed = Counter[str](), Counter[str]()
    for tally in tallies:
        report(tally)
        passed[tally.group] += tally.passed
        failed[tally.group] += tally.failed
    for group in sorted(filter(None, passed)):
        typer.echo(f"all {group}: {passed[group]} passed, {failed[group]} failed")
    typer.echo(f"total: {passed.total()} passed, {failed.total()} failed")
    return failed.total()


def register(app: typer.Typer) -> None:
    @app.command("conformance")
    def run_vectors(
        path: Annotated[
            Path,
            typer.Argument(help="Folder, file or archive of vectors, or of Ethereum's tests."),
        ],
        interpreter: Annotated[
            Choice, typer.Option(help="What runs contracts: fast, readable, or both in turn.")
        ] = Choice.BOTH,
        engine: Annotated[
            str,
            typer.Option(
                help="What computes inferences: reference, or a device family (cpu, opencl, cuda, "
                "rocm, fpga, usbstick), which judges the vectors that hold inferences alone."
            ),
        ] = REFERENCE,
    ) -> None:
        """Check this build against vector files; exit 0 only if none failed."""
        chosen = {n: run for n, run in CHECKED.items() if interpreter in (Choice.BOTH, n)}
        if engine == REFERENCE:
            failed = _report_all(judge_path(path, chosen))
        else:
            with opened_engine(engine) as opened:
                failed = _report_all(judge_inferences(path, chosen, opened.run))
                for line in opened.report():
                    typer.echo(line)
        raise typer.Exit(1 if failed else 0)
