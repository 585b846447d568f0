"""The farm's INFER workers as the node's engine, asked over the bus."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.inference.board import WorkerBoard
from farmctl.inference.messages import SHARED_SUBJECT, WorkerStatus, worker_subject
from farmctl.messages import (
    INFER_MISMATCH,
    MAX_PAYLOAD_BYTES,
    FaultEvent,
    InferReply,
    InferRequest,
    InventoryReport,
    RigEvent,
)
from node.errors import EngineUnavailable, ModelFault
from node.inference import Answer

INFER_ATTEMPTS = 3
#: Where others could be asked, one device is not waited for longer than this part of what is left.
PATIENCE = 0.5
#: In base64, with room for the rest of the message.
INPUT_BYTES_LIMIT = MAX_PAYLOAD_BYTES // 4 * 3 - 4096
#: Before workers have told of themselves.
UNKNOWN_SLOTS = 4

log = logging.getLogger(__name__)


class BusEngine:
    """Asks the farm's INFER workers. Called from threads, never from the event loop."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._bus: Bus | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening: asyncio.Task[None] | None = None
        self.board = WorkerBoard()
        self.on_wrong: Callable[[str], None] = lambda device: None
        """Told of a device that another process of the farm found wrong; called from a thread."""

    def join(self, bus: Bus) -> None:
        """From now on ask over this bus, on the running event loop."""
        self._bus, self._loop = bus, asyncio.get_running_loop()
        self._listening = asyncio.create_task(self._listen(bus))

    def slots(self) -> int:
        return self.board.slots() or UNKNOWN_SLOTS

    def run(self, model: str, data: bytes) -> Answer:
        return self._run(model, data, "")

    def run_apart(self, model: str, data: bytes, device: str) -> Answer:
        """On a device of another family or product."""
        return self._run(model, data, device)

    def _run(self, model: str, data: bytes, apart: str) -> Answer:
        if len(data) > INPUT_BYTES_LIMIT:
            raise EngineUnavailable(
                f"an input of {len(data)} bytes does not go over the bus: {INPUT_BYTES_LIMIT} do"
            )
        deadline = time.time() + self._timeout_seconds
        tried: list[str] = []
        detail = ""
        for _ in range(INFER_ATTEMPTS):
            device = self.board.choose(model, tried, apart)
            if device is None and (apart or len(self.board)):
                break
            reply = self._attempt(model, data, deadline, device, tried)
            if reply.status == "ok":
                return Answer(reply.output, reply.device)
            if reply.status == "logic_error":
                detail = reply.detail or "the worker finds the model or input at fault"
                raise ModelFault(detail, device=reply.device)
            detail = reply.detail or detail
            tried.append(device or reply.device)
        raise EngineUnavailable(detail or "no INFER worker can compute this now")

    def _attempt(
        self, model: str, data: bytes, deadline: float, device: str | None, tried: list[str]
    ) -> InferReply:
        """What one device says; ``unavailable`` where it says nothing. None: any device."""
        left = deadline - time.time()
        if device is None:
            reply = self._ask(SHARED_SUBJECT, model, data, deadline, left)
        else:
            if self.board.choose(model, [*tried, device]) is not None:
                left *= PATIENCE
            reply = self._ask_device(device, model, data, left)
        if self.board.is_barred(reply.device):
            return InferReply(status="unavailable", detail=f"{reply.device} was found wrong")
        return reply

    def _ask_device(self, device: str, model: str, data: bytes, seconds: float) -> InferReply:
        self.board.begin(device, model)
        took: float | None = None
        try:
            reply = self._ask(worker_subject(device), model, data, time.time() + seconds, seconds)
            if reply.status == "ok":
                took = reply.milliseconds / 1000
            return reply.model_copy(update={"device": device})
        except EngineUnavailable as error:
            self.board.rest(device)
            return InferReply(status="unavailable", device=device, detail=str(error))
        finally:
            self.board.end(device, model, took)

    def _ask(
        self, subject: str, model: str, data: bytes, deadline: float, seconds: float
    ) -> InferReply:
        bus, loop = self._bus, self._loop
        if bus is None or loop is None:
            raise EngineUnavailable("the message bus is not connected yet")
        if seconds <= 0:
            raise EngineUnavailable("no INFER worker answered in time")
        request = InferRequest(model=model, input=data, deadline=deadline)
        asked = asyncio.run_coroutine_threadsafe(
            bus.request(subject, request, InferReply, seconds), loop
        )
        try:
            return asked.result(seconds + 1.0)
        except BusError as error:
            raise EngineUnavailable(f"no INFER worker: {error}") from error
        except TimeoutError as error:
            asked.cancel()
            raise EngineUnavailable("no INFER worker answered in time") from error

    async def _listen(self, bus: Bus) -> None:
        """Hear of workers; without that, requests go to whoever takes them."""
        try:
            await bus.subscribe("infer.worker.*", WorkerStatus, self._hear_worker)
            await bus.subscribe("inventory.*", InventoryReport, self._hear_inventory)
            await bus.subscribe("event.*", RigEvent, self._hear_event)
        except BusError as error:
            log.warning("INFER workers are not heard of: %s", error, extra={"action": "bus_lost"})

    async def _hear_worker(self, subject: str, status: WorkerStatus) -> None:
        if status.device.partition("/")[0] == subject.rpartition(".")[2]:
            self.board.hear(status)

    async def _hear_inventory(self, _: str, report: InventoryReport) -> None:
        self.board.hear_inventory(report)

    async def _hear_event(self, subject: str, event: RigEvent) -> None:
        fault = event.body
        if subject != f"event.{event.rig}" or not isinstance(fault, FaultEvent):
            return
        device = f"{event.rig}/{fault.device.removeprefix(f'{event.rig}/')}"
        if fault.code == INFER_MISMATCH and not self.board.is_barred(device):
            self.board.bar(device)
            await asyncio.to_thread(self.on_wrong, device)
