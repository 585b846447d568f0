"""What is kept of each model's fingerprint, to find those that may be of one origin."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.models.fingerprint import QUANTILES, Fingerprint

#: A model is found by so many of its largest tensors' shapes.
LARGEST_TENSORS = 3


@dataclass(frozen=True)
class Sketch:
    """What is kept of a fingerprint."""

    structure: bytes
    architecture: bytes
    weights_hash: bytes
    shapes: tuple[tuple[int, ...], ...]
    quantiles: NDArray[np.float32]

    @classmethod
    def of(cls, made: Fingerprint) -> Sketch:
        shapes = tuple(tensor.shape for tensor in made.tensors)
        return cls(made.structure, made.architecture, made.weights_hash, shapes, made.sketch)

    def meeting_points(self) -> list[bytes]:
        """Keys under which models of one origin meet."""
        largest = sorted(self.shapes, key=np.prod, reverse=True)[:LARGEST_TENSORS]
        return [self.architecture, *(repr(shape).encode() for shape in largest)]

    def distance(self, other: Sketch) -> float:
        """Mean distance of the sketches of tensors that both have; infinite where none."""
        ours = dict(zip(self.shapes, self.quantiles, strict=True))
        theirs = dict(zip(other.shapes, other.quantiles, strict=True))
        both = ours.keys() & theirs.keys()
        if not both:
            return float("inf")
        return float(np.mean([np.linalg.norm(ours[s] - theirs[s]) for s in both]))

    def encode(self) -> bytes:
        return json.dumps(
            {
                "structure": self.structure.hex(),
                "architecture": self.architecture.hex(),
                "weights": self.weights_hash.hex(),
                "shapes": self.shapes,
                "quantiles": self.quantiles.astype("<f4").tobytes().hex(),
            }
        ).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Sketch:
        found = json.loads(raw)
        shapes = tuple(tuple(shape) for shape in found["shapes"])
        quantiles = np.frombuffer(bytes.fromhex(found["quantiles"]), "<f4")
        return cls(
            bytes.fromhex(found["structure"]),
            bytes.fromhex(found["architecture"]),
            bytes.fromhex(found["weights"]),
            shapes,
            quantiles.reshape(len(shapes), QUANTILES),
        )
