"""get_valid_counts and non_max_suppression.

A row is (class, score, left, top, right, bottom); a negative class marks an empty row.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from node.spec.cvm.attributes import Attributes, Field, Kind
from node.spec.cvm.errors import require
from node.spec.cvm.operators.operator import (
    Array,
    Operator,
    Shape,
    Shapes,
    number_precision,
    same_precision,
)

_NMS_FIELDS = {
    "max_output_size": Field(Kind.INTEGER, default=-1),
    "iou_threshold": Field(Kind.INTEGER, default=50),
    "force_suppress": Field(Kind.FLAG, default=0),
    "top_k": Field(Kind.INTEGER, default=-1),
    "coord_start": Field(Kind.INTEGER, default=2),
    "score_index": Field(Kind.INTEGER, default=1),
    "id_index": Field(Kind.INTEGER, default=0),
    "return_indices": Field(Kind.FLAG, default=0),
    "invalid_to_bottom": Field(Kind.FLAG, default=1),
}
_CLASS, _SCORE, _BOX = 0, 1, 2
_INT64_MAXIMUM = (1 << 63) - 1


def _valid_shapes(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    shape = shapes[0]
    require(len(shape) == 3, f"get_valid_counts needs 3 dimensions, not {shape}")
    require(2 <= shape[2] < 32, f"get_valid_counts: {shape[2]} columns are not 2…31")
    return [shape[:1], shape]


def _valid_precisions(
    attributes: Attributes, inputs: Shapes, outputs: Shapes, precisions: Sequence[int]
) -> list[int]:
    return [number_precision(prod(inputs[0][1:])), precisions[0]]


def _count_valid(attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
    """Rows above the threshold move to the top, the others become -1."""
    counts, kept = outputs
    threshold = attributes.integer("score_threshold")
    for batch, rows in enumerate(inputs[0].copy()):
        valid = rows[rows[:, _SCORE] > threshold]
        counts[batch] = len(valid)
        kept[batch, : len(valid)] = valid
        kept[batch, len(valid) :] = -1


def _nms_shape(attributes: Attributes, shapes: Shapes) -> list[Shape]:
    rows, counts = shapes
    require(len(rows) == 3 and rows[2] == 6, f"non_max_suppression: {rows} is not (batch, n, 6)")
    require(counts == rows[:1], f"non_max_suppression: counts {counts} do not fit {rows}")
    for name, only in (
        ("coord_start", 2),
        ("score_index", 1),
        ("id_index", 0),
        ("return_indices", 0),
        ("invalid_to_bottom", 1),
    ):
        require(attributes.integer(name) == only, f"non_max_suppression.{name} must be {only}")
    require(attributes.integer("iou_threshold") > 0, "non_max_suppression.iou_threshold is below 1")
    return [rows]


def _nms_cost(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    return inputs[0][0] * 20


def _wrap(value: int) -> int:
    """To 32 bits."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _overlap_percent(first: Sequence[int], second: Sequence[int]) -> int:
    """Intersection over union of two boxes (left, top, right, bottom), in percent."""
    areas = sum(_wrap(b[2] - b[0]) * _wrap(b[3] - b[1]) for b in (first, second))
    width = max(0, _wrap(min(first[2], second[2]) - max(first[0], second[0])))
    height = max(0, _wrap(min(first[3], second[3]) - max(first[1], second[1])))
    shared = width * height
    union = areas - shared
    if areas <= 0 or union <= 0:
        return 0
    if shared > _INT64_MAXIMUM // 100:
        return shared // max(union // 100, 1)
    return shared * 100 // union


def _suppress(attributes: Attributes, rows: list[list[int]]) -> list[list[int]]:
    """The rows kept of a batch's rows, ordered by falling score."""
    threshold, force = attributes.integer("iou_threshold"), attributes.flag("force_suppress")
    removed = [False] * len(rows)
    kept = []
    for index, row in enumerate(rows):
        if removed[index]:
            continue
        if row[_CLASS] >= 0:
            kept.append(row)
        for other in range(index + 1, len(rows)):
            if rows[other][_CLASS] < 0:
                break
            same = force or row[_CLASS] == rows[other][_CLASS]
            if same and _overlap_percent(row[_BOX:], rows[other][_BOX:]) >= threshold:
                removed[other] = True
    return kept


def _suppress_batch(attributes: Attributes, rows: Array, valid: int) -> list[list[int]]:
    """Like the official kernel, erases in the input the rows that ``top_k`` cuts off."""
    top = attributes.integer("top_k")
    order = sorted(range(valid), key=lambda row: -int(rows[row, _SCORE]))
    if 0 <= top < valid:
        if top > 0:
            rows[order[top:]] = -1
        order = order[:top]
    kept = _suppress(attributes, [rows[row].tolist() for row in order])
    limit = attributes.integer("max_output_size")
    return kept[:limit] if limit > 0 else kept


def _suppress_all(
    attributes: Attributes, inputs: Sequence[Array], outputs: Sequence[Array]
) -> None:
    """A batch without a valid row ends the work: those after it stay as they were."""
    for batch, rows in enumerate(inputs[0]):
        valid = max(min(int(inputs[1][batch]), len(rows)), 0)
        if not valid:
            outputs[0][batch] = -1
            return
        kept = _suppress_batch(attributes, rows, valid)
        outputs[0][batch, : len(kept)] = kept or -1
        outputs[0][batch, len(kept) :] = -1


OPERATORS = (
    Operator(
        "get_valid_counts",
        _valid_shapes,
        _valid_precisions,
        _count_valid,
        {"score_threshold": Field(Kind.INTEGER, default=0)},
        output_count=2,
    ),
    Operator(
        "non_max_suppression",
        _nms_shape,
        same_precision,
        _suppress_all,
        _NMS_FIELDS,
        input_count=2,
        cost=_nms_cost,
    ),
)
