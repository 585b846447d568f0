"""The Python lines of a trace, and the stretches of gas in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count


@dataclass
class Stretch:
    """Operations that pay together, at line ``line``.

    None but the last can see the gas that is left, or fail for another reason than its want: where
    they cannot pay for all, one after another they would run out of it just as well.
    """

    line: int
    margin: str
    gas: int = 0
    waiting: list[tuple[int, str, int]] = field(default_factory=list)
    """Lines to be filled in with the gas that has been paid too early there: number, form, gas
    spent before."""


class Script:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names = (f"t{number}" for number in count())

    def write(self, margin: str, line: str) -> None:
        self.lines.append(margin + line)

    def assign(self, margin: str, expression: str) -> str:
        """Name the value of an expression; the name is assigned nowhere else."""
        name = next(self._names)
        self.write(margin, f"{name} = {expression}")
        return name

    def open(self, margin: str) -> Stretch:
        self.write("", "")
        return Stretch(len(self.lines) - 1, margin)

    def assign_gas(self, stretch: Stretch) -> str:
        """Name the gas that is left where the stretch has come to."""
        name = self.assign(stretch.margin, "")
        form = f"{stretch.margin}{name} = gas + {{}}"
        stretch.waiting.append((len(self.lines) - 1, form, stretch.gas))
        return name

    def close(self, stretch: Stretch) -> None:
        gas, margin = stretch.gas, stretch.margin
        if gas:
            self.lines[stretch.line] = f"{margin}gas -= {gas}\n{margin}if gas < 0: raise OutOfGas"
        for number, form, before in stretch.waiting:
            self.lines[number] = form.format(gas - before)
