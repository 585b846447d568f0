"""The farm's INFER workers as the node's engine, asked over the bus."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from farmctl.bus import Bus
from farmctl.errors import BusError
from farmctl.inference.board import WorkerBoard
from farmctl.inference.messages import (
    TENSOR_BYTES_LIMIT,
    InferReply,
    InferRequest,
    WorkerStatus,
    worker_subject,
)
from farmctl.messages import INFER_MISMATCH, FaultEvent, InventoryReport, RigEvent
from node.errors import EngineUnavailable, ModelFault, TooLarge
from node.inference import Answer

INFER_ATTEMPTS = 3
#: Workers tell of themselves each second: who has just joined waits so long for the first.
FIRST_SECONDS = 1.5
#: Where others could be asked, one device is not waited for longer than this part of what is left.
PATIENCE = 0.5


class BusEngine:
    """Asks the farm's INFER workers. Called from threads, never from the event loop."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._bus: Bus | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = threading.Event()
        self._silent_until = time.monotonic() + FIRST_SECONDS
        self.board = WorkerBoard()
        self.on_wrong: Callable[[str], None] = lambda device: None
        """Told of a device that another process of the farm found wrong; called from a thread."""

    async def join(self, bus: Bus) -> None:
        """From now on ask over this bus, on the running event loop, the workers that tell of
        themselves there. Raises `BusError`."""
        self._bus, self._loop = bus, asyncio.get_running_loop()
        self._silent_until = time.monotonic() + FIRST_SECONDS
        await bus.subscribe("infer.worker.*", WorkerStatus, self._hear_worker)
        await bus.subscribe("inventory.*", InventoryReport, self._hear_inventory)
        await bus.subscribe("event.*", RigEvent, self._hear_event)

    def slots(self) -> int:
        return self.board.slots()

    def run(self, model: str, data: bytes) -> Answer:
        return self._run(model, data, "")

    def run_apart(self, model: str, data: bytes, device: str) -> Answer:
        """On a device of another family or product."""
        return self._run(model, data, device)

    def _run(self, model: str, data: bytes, apart: str) -> Answer:
        if len(data) > TENSOR_BYTES_LIMIT:
            raise TooLarge(
                f"an input of {len(data)} bytes does not go over the bus: {TENSOR_BYTES_LIMIT} do"
            )
        self._heard.wait(max(0.0, self._silent_until - time.monotonic()))
        deadline = time.monotonic() + self._timeout_seconds
        tried: list[str] = []
        detail = ""
        for _ in range(INFER_ATTEMPTS):
            device = self.board.choose(model, tried, apart)
            if device is None:
                break
            reply = self._attempt(device, model, data, deadline, tried)
            if self.board.is_barred(device):
                reply = InferReply(status="unavailable", detail=f"{device} was found wrong")
            if reply.status == "ok":
                return Answer(reply.output, device)
            if reply.status == "logic_error":
                detail = reply.detail or "the worker finds the model or input at fault"
                raise ModelFault(detail, device=device)
            if reply.status == "too_large":
                raise TooLarge(reply.detail or f"the result of model {model} is too large")
            detail = reply.detail or detail
            tried.append(device)
        raise EngineUnavailable(detail or "no INFER worker can compute this now")

    def _attempt(
        self, device: str, model: str, data: bytes, deadline: float, tried: list[str]
    ) -> InferReply:
        """What a device says; ``unavailable`` where it says nothing."""
        left = deadline - time.monotonic()
        if self.board.choose(model, [*tried, device]) is not None:
            left *= PATIENCE
        self.board.begin(device, model)
        took: float | None = None
        try:
            reply = self._ask(device, model, data, left)
            if reply.status == "ok":
                took = reply.milliseconds / 1000
            return reply
        except EngineUnavailable as error:
            self.board.rest(device)
            return InferReply(status="unavailable", detail=str(error))
        finally:
            self.board.end(device, model, took)

    def _ask(self, device: str, model: str, data: bytes, seconds: float) -> InferReply:
        bus, loop = self._bus, self._loop
        if bus is None or loop is None:
            raise EngineUnavailable("the message bus is not connected yet")
        if seconds <= 0:
            raise EngineUnavailable("no INFER worker answered in time")
        request = InferRequest(model=model, input=data, seconds=seconds)
        asked = asyncio.run_coroutine_threadsafe(
            bus.request(worker_subject(device), request, InferReply, seconds), loop
        )
        try:
            return asked.result(seconds + 1.0)
        except BusError as error:
            raise EngineUnavailable(f"no INFER worker: {error}") from error
        except TimeoutError as error:
            asked.cancel()
            raise EngineUnavailable("no INFER worker answered in time") from error

    async def _hear_worker(self, subject: str, status: WorkerStatus) -> None:
        if status.device.partition("/")[0] == subject.rpartition(".")[2]:
            self.board.hear(status)
            self._heard.set()

    async def _hear_inventory(self, subject: str, report: InventoryReport) -> None:
        if subject == f"inventory.{report.rig}":
            self.board.hear_inventory(report)

    async def _hear_event(self, subject: str, event: RigEvent) -> None:
        fault = event.body
        if subject != f"event.{event.rig}" or not isinstance(fault, FaultEvent):
            return
        device = f"{event.rig}/{fault.device.removeprefix(f'{event.rig}/')}"
        if fault.code == INFER_MISMATCH and not self.board.is_barred(device):
            self.board.bar(device)
            await asyncio.to_thread(self.on_wrong, device)
