"""How alike two models are: equal, renamed, permuted, scaled, fine-tuned, or merely of one kind.

Tensors of equal shape are paired in the order of the graphs. Each pair is brought to one scale and
its channels are matched, first by what no permutation changes, then rows and columns in turn. The
likeness of a pair is the mean cosine of its rows, above what matching finds by chance. Models
trained apart from different seeds stay far below a copy (``python -m benchmarks likeness``
measures both).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from node.models.fingerprint import Fingerprint, Tensor

Matrix = NDArray[np.float32]

#: Above it a model is reported as a near copy; measured, see docs/models.md.
COPY_COSINE = 0.6
#: Rounding to 6 bits leaves more than this; so may an epoch of further training.
ROUNDED_COSINE = 0.998
EXACT_COSINE = 0.99999
#: Below this share of the earlier model's weights nothing is said.
COVERED_SHARE = 0.5
#: Of a tensor at most so many rows (the strongest) and matched columns are looked at.
ROWS_LIMIT, COLUMNS_LIMIT = 256, 2048
ROUNDS, BALANCE_ROUNDS = 4, 3
SEED = 20260


class Kind(StrEnum):
    """What the later model is, beside the earlier one."""

    SAME_FILES = "same files"
    RENAMED = "same graph and weights, renamed or reordered"
    SAME_WEIGHTS = "same weights in another graph"
    PERMUTED = "same weights, channels permuted"
    SCALED = "same weights, scaled or rounded"
    NEAR = "near copy: noise, fine-tuning or other small changes"
    APART = "made apart"


@dataclass(frozen=True)
class Likeness:
    kind: Kind
    cosine: float
    """Mean over the paired weights, channels matched: 1 is equal up to scale."""
    plain_cosine: float
    """The same with channels as they stand."""
    covered: float
    """Share of the earlier model's weights that found a tensor of their shape."""
    identical_tensors: int
    tensors: int
    """Pairs."""
    same_architecture: bool

    @property
    def is_copy(self) -> bool:
        return self.kind is not Kind.APART


def compare(earlier: Fingerprint, later: Fingerprint) -> Likeness:
    """Of two models; numbers alone are compared, never names."""
    pairs = pair_tensors(earlier.tensors, later.tensors)
    sizes = np.array([a.rows.size for a, _ in pairs], np.float64)
    covered = float(sizes.sum()) / max(1, earlier.parameter_count)
    identical = sum(bool(np.array_equal(a.rows, b.rows)) for a, b in pairs)
    matched, plain = _mean_cosines(pairs, sizes)
    return Likeness(
        kind=_judge(earlier, later, matched, plain, covered, identical == len(pairs) > 0),
        cosine=matched,
        plain_cosine=plain,
        covered=covered,
        identical_tensors=identical,
        tensors=len(pairs),
        same_architecture=earlier.architecture == later.architecture,
    )


def pair_tensors(
    left: tuple[Tensor, ...], right: tuple[Tensor, ...]
) -> list[tuple[Tensor, Tensor]]:
    """Tensors of equal shape in common order; a layer that one of them lacks is passed over."""
    matcher = SequenceMatcher(None, [t.shape for t in left], [t.shape for t in right], False)
    return [
        (left[block.a + i], right[block.b + i])
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]


def _mean_cosines(
    pairs: list[tuple[Tensor, Tensor]], sizes: NDArray[np.float64]
) -> tuple[float, float]:
    if not pairs:
        return 0.0, 0.0
    found = np.array([match_channels(a, b) for a, b in pairs])
    matched, plain = sizes @ found / sizes.sum()
    return float(matched), float(plain)


def _judge(
    earlier: Fingerprint,
    later: Fingerprint,
    matched: float,
    plain: float,
    covered: float,
    identical: bool,
) -> Kind:
    if earlier.weights_hash == later.weights_hash and earlier.structure == later.structure:
        return Kind.RENAMED
    if covered < COVERED_SHARE or matched < COPY_COSINE:
        return Kind.APART
    if identical:
        return Kind.SAME_WEIGHTS
    if matched >= EXACT_COSINE:
        return Kind.SCALED if plain >= EXACT_COSINE else Kind.PERMUTED
    return Kind.SCALED if matched >= ROUNDED_COSINE else Kind.NEAR


def match_channels(earlier: Tensor, later: Tensor) -> tuple[float, float]:
    """Cosine of the rows with channels matched, and as they stand; 0 … 1.

    Matching finds some likeness in any two tensors, the more the fewer rows or columns there are.
    What it finds where the later one's weights are shuffled counts as nothing.
    """
    a, b = (_balance(_strongest(tensor)) for tensor in (earlier, later))
    plain = _row_cosine(a, b)
    if plain >= EXACT_COSINE:
        return plain, plain
    found = max(plain, _match(a, b))
    shuffled = np.random.default_rng(SEED).permutation(b.ravel()).reshape(b.shape)
    chance = _match(a, _balance(shuffled))
    return max(plain, (found - chance) / (1 - chance)) if chance < 1 else plain, plain


def _match(a: Matrix, b: Matrix) -> float:
    """Best mean cosine of rows over some rounds of matching rows and columns in turn."""
    flat = a.reshape(len(a), -1)
    rows = _assign(_profile(flat) @ _profile(b.reshape(len(b), -1)).T)
    best = 0.0
    for _ in range(ROUNDS):
        moved = b[rows]
        if 1 < a.shape[1] <= COLUMNS_LIMIT:
            moved = moved[:, _assign(_columns(a) @ _columns(moved).T)]
        best = max(best, _row_cosine(a, moved))
        in_place = moved[np.argsort(rows)]  # b's own rows, columns as matched now
        again = _assign(flat @ in_place.reshape(len(b), -1).T)
        if np.array_equal(again, rows):
            break
        rows = again
    return best


def _strongest(tensor: Tensor) -> Matrix:
    """(rows, input channels, kernel elements), at most ``ROWS_LIMIT`` rows, in their order."""
    channels = tensor.shape[1]
    rows = tensor.rows
    if len(rows) > ROWS_LIMIT:
        norms = np.einsum("ij,ij->i", rows.astype(np.float32), rows.astype(np.float32))
        rows = rows[np.sort(np.argpartition(norms, -ROWS_LIMIT)[-ROWS_LIMIT:])]
    return rows.reshape(len(rows), channels, -1).astype(np.float32)


def _balance(weights: Matrix) -> Matrix:
    """Input channels and rows to one strength each, then rows to length 1: free scales do not
    count."""
    found = weights
    for _ in range(BALANCE_ROUNDS):
        found = _to_one(found, (0, 2))
        found = _to_one(found, (1, 2))
    return found / np.float32(np.sqrt(max(1, weights[0].size)))


def _to_one(weights: Matrix, axes: tuple[int, int]) -> Matrix:
    strength = np.sqrt(np.mean(weights**2, axis=axes, keepdims=True))
    scaled: Matrix = (weights / np.where(strength > 0, strength, 1)).astype(np.float32)
    return scaled


def _row_cosine(a: Matrix, b: Matrix) -> float:
    return max(0.0, float(np.mean(np.sum(a * b, axis=tuple(range(1, a.ndim))))))


def _profile(rows: Matrix) -> Matrix:
    """What of a row no permutation of its columns changes: its sorted values, less what is common
    to all rows."""
    values = np.sort(rows, axis=1)
    values = values - values.mean(axis=0)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    profile: Matrix = (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return profile


def _columns(weights: Matrix) -> Matrix:
    """(input channels, rest), each of length 1."""
    flat = weights.transpose(1, 0, 2).reshape(weights.shape[1], -1)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    columns: Matrix = (flat / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return columns


def _assign(scores: Matrix) -> NDArray[np.intp]:
    """For each row of ``scores`` a column of its own: those that choose each other first."""
    count = len(scores)
    chosen = np.full(count, -1)
    left, right = np.arange(count), np.arange(count)
    while len(left):
        part = scores[np.ix_(left, right)]
        best, back = part.argmax(axis=1), part.argmax(axis=0)
        mutual = back[best] == np.arange(len(left))
        chosen[left[mutual]] = right[best[mutual]]
        left, right = left[~mutual], np.delete(right, best[mutual])
    return chosen
