"""The farm's INFER workers as the node's engine, asked over the bus."""

from __future__ import annotations

import asyncio
import time

from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.messages import InferReply, InferRequest
from node.errors import EngineUnavailable, ModelFault
from node.inference import Answer

INFER_ATTEMPTS = 3


class BusEngine:
    """Asks the farm's INFER workers. Called from threads, never from the event loop."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._bus: Bus | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def join(self, bus: Bus) -> None:
        """From now on ask over this bus, on the running event loop."""
        self._bus, self._loop = bus, asyncio.get_running_loop()

    def run(self, model: str, data: bytes) -> Answer:
        deadline = time.time() + self._timeout_seconds
        detail = ""
        for _ in range(INFER_ATTEMPTS):
            reply = self._ask(model, data, deadline)
            if reply.status == "ok":
                return Answer(reply.output, reply.device)
            if reply.status == "logic_error":
                detail = reply.detail or "the worker finds the model or input at fault"
                raise ModelFault(detail, device=reply.device)
            detail = reply.detail
        raise EngineUnavailable(detail or "no INFER worker can compute this now")

    def _ask(self, model: str, data: bytes, deadline: float) -> InferReply:
        bus, loop = self._bus, self._loop
        if bus is None or loop is None:
            raise EngineUnavailable("the message bus is not connected yet")
        left = deadline - time.time()
        if left <= 0:
            raise EngineUnavailable("no INFER worker answered in time")
        request = InferRequest(model=model, input=data, deadline=deadline)
        asked = asyncio.run_coroutine_threadsafe(
            bus.request("infer.run", request, InferReply, left), loop
        )
        try:
            return asked.result(left + 1.0)
        except BusError as error:
            raise EngineUnavailable(f"no INFER worker: {error}") from error
        except TimeoutError as error:
            asked.cancel()
            raise EngineUnavailable("no INFER worker answered in time") from error
