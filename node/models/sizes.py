"""How large a model's parameters are: as they are stored, and packed to their precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from node.spec.cvm import Graph

_BYTE_PRECISION, _BYTE_BITS, _WORD_BITS = 8, 8, 32


@dataclass(frozen=True)
class ParameterSizes:
    """Of all parameters of a model."""

    elements: Mapping[int, int]
    """Numbers by the precision that the model gives them."""

    @property
    def stored_bytes(self) -> int:
        """In the parameter blob and in memory, which know bytes and words alone."""
        return sum(
            count * (_BYTE_BITS if precision <= _BYTE_PRECISION else _WORD_BITS) // 8
            for precision, count in self.elements.items()
        )

    @property
    def packed_bytes(self) -> int:
        """With as many bits each as their precision: 6 for INT6."""
        return -(-sum(precision * count for precision, count in self.elements.items()) // 8)

    def __str__(self) -> str:
        counts = ", ".join(f"{n} of {bits} bits" for bits, n in sorted(self.elements.items()))
        return f"{counts or 'none'}: {self.stored_bytes} bytes, {self.packed_bytes} if packed"


def measure_parameters(graph: Graph) -> ParameterSizes:
    """Of a loaded graph."""
    counts = Counter[int]()
    for entry, array in graph.parameters.items():
        counts[graph.precisions[entry]] += array.size
    return ParameterSizes(dict(counts))
