"""The stack while a trace is written: names, numbers and conditions in place of items."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Condition(NamedTuple):
    """A 1 or 0 that nobody has needed as a number yet: the truth of ``expression``, or its
    opposite."""

    expression: str
    negated: bool = False

    @property
    def test(self) -> str:
        return f"not ({self.expression})" if self.negated else self.expression

    @property
    def number(self) -> str:
        return f"({int(not self.negated)} if {self.expression} else {int(self.negated)})"


#: A number, the name of a variable, or a condition.
Item = int | str | Condition


@dataclass
class Bounds:
    """How far all paths of a trace go."""

    reach: int = 0
    """Items taken from what lay there at the start."""
    peak: int = 0
    """Items above what lay there at the start."""


@dataclass
class Stack:
    """What lies on top of the stack that the trace began with.

    The items of that one are called e1 (its top), e2, … and come in here when they are asked for.
    """

    bounds: Bounds
    items: list[Item] = field(default_factory=list)
    reach: int = 0
    """Items of the first stack that have come in here."""

    def copy(self) -> Stack:
        return Stack(self.bounds, list(self.items), self.reach)

    @property
    def height(self) -> int:
        """Relative to the start."""
        return len(self.items) - self.reach

    def need(self, count: int) -> None:
        """Have at least so many items here."""
        while len(self.items) < count:
            self.reach += 1
            self.items.insert(0, entry_name(self.reach))
        self.bounds.reach = max(self.bounds.reach, self.reach)

    def push(self, item: Item) -> None:
        self.items.append(item)
        self.bounds.peak = max(self.bounds.peak, self.height)

    def pop(self) -> Item:
        self.need(1)
        return self.items.pop()

    def duplicate(self, depth: int) -> None:
        self.need(depth)
        self.push(self.items[-depth])

    def swap(self, depth: int) -> None:
        self.need(depth + 1)
        items = self.items
        items[-1], items[-1 - depth] = items[-1 - depth], items[-1]


def entry_name(depth: int) -> str:
    """The variable for an item of the first stack; depth 1 is the top."""
    return f"e{depth}"


def text(item: Item) -> str:
    """The item as a Python expression."""
    if isinstance(item, Condition):
        return item.number
    return hex(item) if isinstance(item, int) else item
