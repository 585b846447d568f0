"""Detection operators on the CPU against the reference, over random boxes."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.cpu.loaded_program import LoadedProgram
from farmctl.conformance import cvm_ops
from node.lowering import encode_heads, lower
from node.spec.cvm import load, run
from node.spec.cvm.execution import decode_input

MEMORY_BYTES = 1 << 24


def suppression_case(seed: int) -> dict[str, object]:
    random = np.random.default_rng(seed)
    count, side = int(random.integers(1, 24)), int(random.choice([8, 60, 500_000]))
    rows = np.empty((1, count, 6), dtype=np.int64)
    rows[..., 0] = random.integers(-1, 3, count)
    rows[..., 1] = random.integers(0, 12, count)
    rows[..., 2:4] = random.integers(-side, side, (count, 2))
    rows[..., 4:] = rows[..., 2:4] + random.integers(-2, side, (count, 2))
    attributes = {
        "max_output_size": int(random.choice([-1, 0, 3])),
        "iou_threshold": int(random.choice([1, 30, 50, 90])),
        "force_suppress": bool(random.integers(2)),
        "top_k": int(random.choice([-1, 0, 5])),
    }
    return {
        "op": "non_max_suppression",
        "attrs": {name: str(value) for name, value in attributes.items()},
        "inputs": [
            {"shape": [1, count, 6], "precision": 24, "data": rows.ravel().tolist()},
            {"shape": [1], "precision": 8, "data": [int(random.integers(-1, count + 2))]},
        ],
        "output_shapes": [[1, count, 6]],
        "output_index": 0,
    }


@pytest.mark.parametrize("seed", range(60))
def test_suppression_agrees_with_reference(seed: int) -> None:
    case = suppression_case(seed)
    graph = load(*cvm_ops.build_model(case))
    data = cvm_ops.encode_input(case, graph)
    loaded = LoadedProgram(lower(graph), MEMORY_BYTES)
    answer = loaded.run(decode_input(graph, data).astype("<i4").tobytes())
    loaded.close()
    assert encode_heads(graph, answer) == run(graph, data)
