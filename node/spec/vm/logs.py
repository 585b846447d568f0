"""0xa0 to 0xa4: LOG."""

from __future__ import annotations

from collections.abc import Callable

from node.spec.types import Log
from node.spec.vm.frame import Frame
from node.spec.vm.schedule import LOG_BYTE_GAS


def make_log(topic_count: int) -> Callable[[Frame], None]:
    def log(frame: Frame) -> None:
        # stack
        offset, size = frame.stack.pop(), frame.stack.pop()
        topics = tuple(frame.stack.pop().to_bytes(32, "big") for _ in range(topic_count))
        # gas
        frame.charge(LOG_BYTE_GAS * size)
        frame.extend_memory((offset, size))
        # operation
        frame.refuse_static()
        frame.machine.logs.append(Log(frame.address, topics, frame.read_memory(offset, size)))

    return log
