"""What the kernels are on each architecture: the instructions that multiply, and their tiles."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import WrongAnswer

#: Bytes that one stage of a tile takes of each of its rows, and stages in flight.
DEPTHS = {"wgmma": (128, 3), "mma32": (64, 4)}


@dataclass(frozen=True)
class Tile:
    """Pixels by channels that one group of lanes sums up."""

    name: str
    rows: int
    columns: int
    lanes: int


@dataclass(frozen=True)
class Target:
    """``kind`` names the instructions as multiply.cuh does: wgmma, mma32, mma16, mfma, dot or
    plain. ``flips``: only signed products, so that the biases make up for the bytes' sign."""

    kind: str
    flips: bool = False

    @property
    def finishes_apart(self) -> bool:
        """Whether tiles that are split take a launch of their own to be finished."""
        return False

    @property
    def depth(self) -> int:
        return DEPTHS.get(self.kind, (64, 2))[0]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The largest first."""
        tall = 256 if self.kind == "wgmma" else 128
        return (
            Tile("convolve_big", 128, 128, 256),
            Tile("convolve_tall", 128, 64, tall),
            Tile("convolve_small", 64, 64, 128),
        )

    @property
    def first(self) -> Tile:
        """Of convolutions whose source has four bytes a pixel."""
        return Tile("convolve_first", 128, 64, self.tiles[1].lanes)

    def shared_bytes(self, tile: Tile) -> int:
        stages = DEPTHS.get(self.kind, (64, 2))[1]
        return (tile.rows + tile.columns) * self.depth * stages

    def channel_order(self) -> list[int]:
        """Which of 32 channels each row of the packed weights is: see tile.cuh."""
        if self.kind == "mfma":
            return [8 * (r % 16 // 4) + 4 * (r // 16) + r % 4 for r in range(32)]
        return [8 * (r % 8 // 2) + 2 * (r // 8) + r % 2 for r in range(32)]


@dataclass(frozen=True)
class InferGpu:
    """What a plan is laid out for. ``units`` are multiprocessors."""

    target: Target
    units: int
    memory_bytes: int


#: INFER_TARGET in language.cuh.
KINDS = {0: "plain", 61: "dot", 75: "mma16", 80: "mma32", 90: "wgmma", 908: "mfma"}


def target_of(number: int, flips: int) -> Target:
    """What the kernels say of themselves (``tell_target``). Raises `WrongAnswer`."""
    if number not in KINDS or flips not in (0, 1):
        raise WrongAnswer(f"the GPU's kernels answer {number}, {flips}, which is no target")
    return Target(KINDS[number], bool(flips))
