"""Checks of this build against vector files.

A file ``NAME.json`` is judged by the module ``NAME`` in this folder, which has
``run(data) -> Iterable[Case]``; nothing else is edited to add one. A module whose cases need other
files of the folder names them in ``COMPANIONS``; ``run`` gets their content as further arguments.
Where ``run`` has an argument ``interpret``, it is called for each interpreter of contracts; where
it has ``engine``, a device can compute the inferences.

Ethereum's official tests are known by what is in them, not by name: see ``_official``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: How much of a value is shown in a reason.
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Case:
    """The verdict on one case of a vector file."""

    name: str
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Tally:
    """The verdict on the cases of one file or folder."""

    name: str
    cases: tuple[Case, ...] | None
    """None where the file's form is not known."""
    group: str = ""
    """What its counts are also summed up under: a fork and an interpreter."""
    inapplicable: Mapping[str, int] = field(default_factory=dict)
    """How many cases do not apply, by the reason."""

    @property
    def passed(self) -> int:
        return sum(case.passed for case in self.cases or ())

    @property
    def failed(self) -> int:
        return len(self.cases or ()) - self.passed


def judge(name: str, check: Callable[[], Iterable[str]]) -> Case:
    """Run one check, which yields what is wrong; an error in it is a failure with its text."""
    try:
        wrong = list(check())
    except Exception as error:  # noqa: BLE001 - vectors are input: no form of one may end the run
        wrong = [f"{type(error).__name__}: {error}"]
    return Case(name, not wrong, "; ".join(wrong))


def differs(what: str, expected: object, actual: object) -> Iterator[str]:
    """Yield one line if the two are not equal."""
    if expected != actual:
        yield f"{what} should be {_show(expected)}, is {_show(actual)}"


def _show(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def unhex(text: str) -> bytes:
    """Bytes of a hex string, with or without 0x."""
    return bytes.fromhex(text.removeprefix("0x"))


def integer(value: int | str) -> int:
    """A number that a vector has as a number, as decimal digits or as 0x hex."""
    return int(value, 0) if isinstance(value, str) else int(value)
