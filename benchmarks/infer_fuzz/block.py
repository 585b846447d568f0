"""One block of a campaign on the backends of this process: models drawn, run, compared.

``python -m benchmarks.infer_fuzz.block`` is the child process that is held to one instruction set;
it reads its orders from its arguments and prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.infer_fuzz.backends import Backend, expand
from benchmarks.infer_fuzz.minimise import minimise
from benchmarks.infer_fuzz.models import Model, Words, draw_models
from drivers.base import InferSession
from drivers.errors import BadArgument, DriverError, NotSupported

#: Mismatches that a block tells in full; it counts them all.
MOST_TOLD = 5
_MODEL = "fuzzed"


@dataclass
class Tally:
    """Cases by operator: one is an operator's output on one backend, equal for all inputs."""

    cases: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Models that a backend did not take, by backend and reason."""
    mismatches: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)


def run_block(seed: int, block: int, count: int, backends: Sequence[Backend]) -> Tally:
    """Draw the block's models and run each on every backend."""
    tally = Tally()
    sessions = {backend.name: backend.open() for backend in backends}
    for model in draw_models(seed, block, count):
        for name, session in sessions.items():
            try:
                judge(tally, name, session, model)
            except (BadArgument, NotSupported) as error:
                tally.refused[f"{name}: {error}"] += 1
    for session in sessions.values():
        session.close()
    return tally


def judge(tally: Tally, name: str, session: InferSession, model: Model) -> None:
    """Count the model's operators, and those that differ. Raises `NotSupported`."""
    wrong = find_wrong(session, model)
    tally.cases.update(model.operators)
    tally.mismatches += len(wrong)
    if wrong and len(tally.told) < MOST_TOLD:
        told = minimise(model, wrong[0], lambda small: bool(find_wrong(session, small)))
        tally.told.append({"backend": name, **told})


def find_wrong(session: InferSession, model: Model) -> list[int]:
    """Heads that differ for some input. A session that fails has all of them wrong; raises
    `NotSupported` where it does not take the model."""
    session.load(_MODEL, model.program)
    try:
        answers = [list(_split(session, model, values)) for values in model.inputs]
    except DriverError:
        return list(range(len(model.operators)))
    finally:
        session.unload(_MODEL)
    return [
        head
        for head in range(len(model.operators))
        if not all(
            np.array_equal(answer[head], expected[head].ravel())
            for answer, expected in zip(answers, model.expected, strict=True)
        )
    ]


def _split(session: InferSession, model: Model, values: Words) -> Iterator[Words]:
    """The session's answer, head by head; a short one has empty heads."""
    answer = np.frombuffer(session.run(_MODEL, values.astype("<i4").tobytes()), "<i4")
    start = 0
    for expected in model.expected[0]:
        yield answer[start : start + expected.size]
        start += expected.size


def main(arguments: Sequence[str]) -> None:
    seed, block, count, *devices = arguments
    tally = run_block(int(seed), int(block), int(count), list(expand(devices)))
    print(json.dumps(vars(tally)))


if __name__ == "__main__":
    main(sys.argv[1:])
