"""Ethereum's official tests in folders and archives, known by what is in them."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any

from farmctl.conformance import Tally, judge
from farmctl.conformance._encoding_tests import check_rlp, check_trie
from farmctl.conformance._machine import CHECKED
from farmctl.conformance._state_tests import StateCase, read_cases
from farmctl.errors import BadRequest, NotFound
from node.spec.vm.frame import Interpret

ARCHIVES = (".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2")


#: A file's place in its archive or folder, and its text.
File = tuple[str, str]


def is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVES)


def read_files(path: Path) -> Iterator[File]:
    """The JSON files of an archive, one after another, as they lie in it.

    Raises `BadRequest` where it cannot be read, and `NotFound` where it holds none.
    """
    count = 0
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name.endswith(".json") else None
                if file is not None:
                    yield member.name, file.read().decode("utf-8", "replace")
                    count += 1
    except (tarfile.TarError, OSError, EOFError, LZMAError, zlib.error) as error:
        raise BadRequest(f"{path} cannot be read: {error}") from error
    if not count:
        raise NotFound(f"{path} holds no vector files (*.json)")


def judge_files(
    files: Iterable[File], interpreters: Mapping[str, Interpret] = CHECKED, every: int = 1
) -> Iterator[Tally]:
    """Judge official tests, or one in ``every`` state test; a tally for each folder of state
    tests, interpreter and fork, and for each other file."""
    numbers = iter(range(2**63))
    for folder, members in groupby(files, lambda file: PurePosixPath(file[0]).parent):
        states: list[StateCase] = []
        for name, text in members:
            tests = parse(text)
            if _holds(tests, "pre", "post"):
                found = read_cases(name, tests or {})
                states += (case for case in found if next(numbers) % every == 0)
            else:
                yield judge_encodings(name, tests)
        yield from _judge_states(folder.name, states, interpreters)


def judge_encodings(name: str, tests: dict[str, Any] | None) -> Tally:
    """Judge a file of RLP or trie tests."""
    check: Callable[[dict[str, Any]], Iterator[str]]
    if _holds(tests, "in", "root"):
        check = partial(check_trie, secure="secure" in name.lower())
    elif _holds(tests, "in", "out"):
        check = check_rlp
    else:
        return Tally(name, None)
    cases = (judge(title, partial(check, case)) for title, case in (tests or {}).items())
    return Tally(name, tuple(cases))


def parse(text: str) -> dict[str, Any] | None:
    """A file's tests by name; None where it holds none."""
    try:
        tests = json.loads(text)
    except ValueError:
        return None
    return tests if isinstance(tests, dict) else None


def _holds(tests: dict[str, Any] | None, *keys: str) -> bool:
    """Whether there are tests, and each has these keys."""
    fitting = (
        isinstance(t, dict) and all(key in t for key in keys) for t in (tests or {}).values()
    )
    return bool(tests) and all(fitting)


def _judge_states(
    folder: str, states: list[StateCase], interpreters: Mapping[str, Interpret]
) -> Iterator[Tally]:
    for fork in sorted({case.fork for case in states}):
        here = [case for case in states if case.fork == fork]
        reasons = Counter(case.departure for case in here if case.departure)
        applicable = [case for case in here if not case.departure]
        for name, interpret in interpreters.items() if applicable else ():
            cases = (judge(case.name, partial(case.check, interpret)) for case in applicable)
            yield Tally(f"{folder}, {fork}, {name}", tuple(cases), f"{fork}, {name}")
        if reasons:
            yield Tally(f"{folder}, {fork}", (), inapplicable=reasons)
