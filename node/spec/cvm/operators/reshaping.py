"""The target shape language of ``reshape``: 0, -1, -2, -3 and -4 have a meaning of their own."""

from __future__ import annotations

from math import prod

from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import Shape


def infer_reshape(target: Shape, source: Shape) -> Shape:
    """Shape that ``reshape`` gives a tensor of shape ``source``.

    0 copies a dimension, -1 is inferred (once), -2 copies all that are left, -3 merges two,
    -4 splits one into the two numbers that follow. Raises CvmLoadError where it does not fit.
    """
    require(len(target) > 0, "reshape.shape is empty")
    shape, inferred = _Reshape(target, source).walk()
    if inferred is not None:
        require(inferred < len(shape), f"reshape.shape {target}: -1 stands after -3 or -4")
        rest = prod(shape)
        require(rest > 0, f"reshape.shape {target} does not fit {source}")
        shape[inferred] = prod(source) // rest
    require(prod(shape) == prod(source), f"reshape.shape {target} does not fit {source}")
    return tuple(shape)


class _Reshape:
    """One walk over the target, taking dimensions of the source as it goes."""

    def __init__(self, target: Shape, source: Shape) -> None:
        self.target, self.source = target, source
        self.position = 0
        self.taken = 0
        self.shape: list[int] = []

    def walk(self) -> tuple[list[int], int | None]:
        """The dimensions found, and where in them the inferred one goes.

        Like the official runtime, "where" is counted in the target, not in the result.
        """
        inferred: int | None = None
        while self.position < len(self.target):
            number = self.target[self.position]
            if number == -1:
                require(inferred is None, f"reshape.shape {self.target} has more than one -1")
                inferred = self.position
            self._step(number)
            self.position += 1
        return self.shape, inferred

    def _step(self, number: int) -> None:
        if number > 0 or number == -1:
            self.shape.append(max(number, 1))
            self.taken += 1
        elif number == 0:
            self.shape.append(self._take())
        elif number == -2:
            self.shape.extend(self.source[self.taken :])
            self.taken = max(self.taken, len(self.source))
        elif number == -3:
            self.shape.append(self._take() * self._take())
        elif number == -4:
            self._split()

    def _take(self) -> int:
        require(
            self.taken < len(self.source), f"reshape.shape {self.target} does not fit {self.source}"
        )
        self.taken += 1
        return self.source[self.taken - 1]

    def _split(self) -> None:
        require(
            self.position + 2 < len(self.target),
            f"reshape.shape {self.target}: two numbers must follow -4",
        )
        whole = self._take()
        first, second = self.target[self.position + 1 : self.position + 3]
        self.position += 2
        require(0 not in (first, second), f"reshape.shape {self.target} splits by 0")
        require((first, second) != (-1, -1), f"reshape.shape {self.target} splits into two -1")
        first = whole // second if first == -1 else first
        second = whole // first if second == -1 and first else second
        require(first * second == whole, f"reshape.shape {self.target} does not split {whole}")
        self.shape.extend((first, second))
