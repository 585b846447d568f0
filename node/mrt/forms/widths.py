"""Which values of the extension form have more than 8 bits.

A layer norm divides by the spread of its input, and a softmax takes exponents: both show every
bit that a byte would lose. A value that only they and sums read need not be a byte, as no product
of bytes reads it.
"""

from __future__ import annotations

from node.mrt.layers import Add, Affine, Layer, Mean, Normalise, Softmax
from node.mrt.network import Network

#: Of a layer norm's input and the sums that lead to it; of a softmax's input, whose table of
#: exponents has an entry for each difference.
RESIDUAL_LIMIT, EXPONENT_LIMIT = (1 << 15) - 1, (1 << 11) - 1


class Widths:
    def __init__(self, network: Network) -> None:
        self.network = network
        self._found: dict[str, int | None] = {}
        for layer in reversed(network.layers):  # readers before what they read
            self._found[layer.name] = self._find(layer.name)

    def room(self, name: str) -> int | None:
        """Largest integer of a value that has more than 8 bits; None for bytes."""
        return self._found.get(name)

    def _find(self, name: str) -> int | None:
        readers = self.network.readers[name]
        rooms = [self._room_for(reader) for reader in readers]
        found = [room for room in rooms if room]
        if not found or None in rooms:
            return None
        return min(found)

    def _room_for(self, reader: Layer | None) -> int | None:
        """What one reader wants; 0 where it takes any width, None where it takes bytes."""
        if isinstance(reader, Normalise):
            return RESIDUAL_LIMIT
        if isinstance(reader, Softmax):
            return EXPONENT_LIMIT
        if isinstance(reader, Add):
            return self._found[reader.name] or 0
        if isinstance(reader, Affine) and reader.is_scalar and not reader.offset.any():
            return self._found[reader.name]
        return 0 if isinstance(reader, Mean) else None
