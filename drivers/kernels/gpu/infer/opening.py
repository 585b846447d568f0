"""INFER opened on a GPU of any family: its options, and the proof that its kernels are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.errors import BadArgument, DriverError
from drivers.kernels.gpu.infer import trial
from drivers.kernels.gpu.infer.queue import Queue
from drivers.kernels.gpu.infer.session import LANES, GpuInfer
from drivers.kernels.gpu.infer.target import InferGpu

OPTIONS = frozenset({"memory_limit_bytes", "lanes"})


def open_proved(
    open_queue: Callable[[], Queue],
    describe: Callable[[int | None], InferGpu],
    options: Mapping[str, Any],
) -> GpuInfer:
    """A session that has shown that its kernels answer rightly. Options: ``memory_limit_bytes``,
    which ``describe`` is given, and ``lanes``: requests at a time.

    Raises `BadArgument` and `SelfTestFailed`.
    """
    if unknown := options.keys() - OPTIONS:
        raise BadArgument(f"INFER on a GPU has no option {', '.join(sorted(unknown))}")
    limit = options.get("memory_limit_bytes")
    if limit is not None and limit < 1:
        raise BadArgument("memory_limit_bytes must be positive")
    session = GpuInfer(open_queue, describe(limit), options.get("lanes", LANES))
    try:
        trial.check(session)
    except DriverError:
        session.close()
        raise
    return session
