"""Consensus inference: answers the node's INFER requests on a device, to the bit.

An answer is either the model's result, or a fault that every node would find (``logic_error``),
or ``unavailable`` or ``too_large``: an outage is never answered as a result.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from drivers.base import Capability
from drivers.errors import BadArgument, DriverError, NotSupported, OutOfMemory
from drivers.worker import WorkerSession, open_session
from farmctl.agent.rate import Rate
from farmctl.agent.sharing import PACKED_OPTION, Options, infer_options
from farmctl.bus import Bus, Subscription
from farmctl.errors import BusError, NotFound, StoreError
from farmctl.inference.forms import run_together
from farmctl.inference.loading import ModelLoading
from farmctl.inference.messages import (
    MODELS_LIMIT,
    TENSOR_BYTES_LIMIT,
    InferReply,
    InferRequest,
    WorkerStatus,
    worker_subject,
)
from farmctl.inference.waiting import BATCH_LIMIT, Requests, Waiting
from farmctl.messages import AssignmentMessage
from farmctl.workloads.base import Activity, Place
from node.latencies import Latencies
from node.spec.cvm import CvmError

log = logging.getLogger(__name__)
#: Requests waiting for the device; further ones are answered ``unavailable`` at once.
WAITING_LIMIT = 64
SESSION_DEADLINE_SECONDS = 30.0
#: Requests that are served together keep others waiting no longer than this, or one does.
BATCH_SECONDS = 0.25
STATUS_SECONDS = 1.0
#: What cannot be computed now, or not here, without a fault of the device.
OUTAGES = (NotSupported, BadArgument, OutOfMemory, NotFound, BusError, StoreError, OSError)


class Infer:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._session: WorkerSession | None = None
        folder = place.folder / "models"
        self._models = ModelLoading(folder, place.infer_bytes, place.infer_policy)
        self._requests = Requests(WAITING_LIMIT)
        self._news = asyncio.Event()
        """A request or a model came."""
        self._changed = asyncio.Event()
        """Models came onto the device or left it."""
        self._turn = asyncio.Lock()
        self._leaves = False
        """What still waits is answered ``unavailable``, so that another device is asked."""
        self._done = Rate()
        self._latencies = Latencies()
        self._answered = self._batches = 0
        self._fault: asyncio.Future[None] | None = None

    async def start(self) -> None:
        options = await asyncio.to_thread(infer_options, self._place)
        self._models.begin(recalls=PACKED_OPTION in options)
        self._session = await asyncio.to_thread(self._open, options)

    def _open(self, options: Options) -> WorkerSession:
        family, device = self._place.family, self._place.device_id
        return open_session(family, device, Capability.INFER, SESSION_DEADLINE_SECONDS, **options)

    async def run(self) -> None:
        self._fault = asyncio.get_running_loop().create_future()
        self._leaves = False
        bus = await self._place.link.wait()
        subject, most = worker_subject(self._place.device), 2 * WAITING_LIMIT
        serving = await bus.serve(subject, InferRequest, self._answer, at_once=most)
        tasks = [asyncio.create_task(self._work(bus)), asyncio.create_task(self._announce(bus))]
        try:
            ended, _ = await asyncio.wait(
                {self._fault, *tasks}, return_when=asyncio.FIRST_COMPLETED
            )
            for each in ended:
                each.result()
        finally:
            await self._leave(bus, serving)
            for task in tasks:
                task.cancel()
            self._models.cancel()

    async def _leave(self, bus: Bus, serving: Subscription) -> None:
        """Requests that have come are still answered: another device is to be asked."""
        self._leaves = True
        self._news.set()
        await self._tell(bus)
        await serving.stop()

    async def stop(self) -> None:
        async with self._turn:
            session, self._session = self._session, None
            if session is not None:
                await asyncio.to_thread(session.close)

    def rates(self) -> Mapping[str, float]:
        return {"infers_per_second": self._done.per_second()}

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            device=self._place.device,
            is_leaving=self._leaves,
            models=tuple(self._models.resident)[:MODELS_LIMIT],
            waiting=self._requests.held,
            limit=WAITING_LIMIT,
            slots=BATCH_LIMIT // 4,
            load_seconds=self._models.seconds,
            residency=self._models.resident.counts(),
            requests=self._answered,
            batches=self._batches,
            p50_milliseconds=self._latencies.milliseconds(0.5),
            p99_milliseconds=self._latencies.milliseconds(0.99),
        )

    async def _answer(self, request: InferRequest) -> InferReply:
        if self._requests.is_full:
            return _unavailable(f"{self._requests.held} requests are waiting already")
        return await self._requests.put(request, self._news.set)

    async def _announce(self, bus: Bus) -> None:
        while True:
            self._changed.clear()
            await self._tell(bus)
            try:
                async with asyncio.timeout(STATUS_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _tell(self, bus: Bus) -> None:
        try:
            await bus.publish(f"infer.worker.{self._place.rig}", self.status())
        except BusError as error:
            log.debug("not told: %s", error)

    async def _work(self, bus: Bus) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while (model := self._next(bus)) is not None:
                async with self._turn:
                    await self._serve(model, self._requests.take(model, self._batch_of(model)))

    def _next(self, bus: Bus) -> str | None:
        """The model that can be served now; others are sent for."""
        for model in self._requests.models():
            if self._leaves or self._models.is_near(model):
                return model
            self._models.send_for(bus, model, self._news.set)
        return None

    def _batch_of(self, model: str) -> int:
        """Requests to be served together: one until it is known how long that takes."""
        seconds = self._models.resident.seconds(model)
        return max(1, min(BATCH_LIMIT, int(BATCH_SECONDS / seconds))) if seconds else 1

    async def _serve(self, model: str, batch: list[Waiting]) -> None:
        """Requests for one model, with the device to themselves."""
        session, wanted = self._session, [each for each in batch if not each.is_late()]
        try:
            if not self._leaves and session is not None:
                replies = await self._infer(session, model, wanted)
                for each, reply in zip(wanted, replies, strict=True):
                    _reply(each, reply)
        finally:
            for each in batch:
                _reply(each, _unavailable("too late: the device left or the deadline passed"))

    async def _infer(
        self, session: WorkerSession, model: str, batch: list[Waiting]
    ) -> list[InferReply]:
        was_resident = model in self._models.resident
        try:
            if not was_resident:
                await self._models.bring(self._place.link.now(), session, model)
                self._changed.set()
            if not batch:
                return []  # all came too late, but they will ask again
            self._models.resident.use(model, len(batch), was_resident)
            return await self._compute(session, model, batch)
        except CvmError as error:
            return [_model_fault(error)] * len(batch)
        except OUTAGES as error:
            return [_unavailable(str(error))] * len(batch)
        except DriverError as error:
            self._break(error)
            return [_unavailable(str(error))] * len(batch)

    async def _compute(
        self, session: WorkerSession, model: str, batch: list[Waiting]
    ) -> list[InferReply]:
        graph, began = self._models.resident.graph(model), time.monotonic()
        inputs = [each.request.input for each in batch]
        results = await asyncio.to_thread(run_together, session, model, graph, inputs)
        seconds = time.monotonic() - began
        answered = sum(isinstance(each, bytes) for each in results)
        self._count(batch, answered, seconds)
        if answered:
            self._models.resident.learn(model, seconds / answered)
        milliseconds = seconds * 1000 / max(1, answered)
        return [
            _model_fault(each) if isinstance(each, CvmError) else _result(each, milliseconds)
            for each in results
        ]

    def _count(self, batch: list[Waiting], results: int, seconds: float) -> None:
        now = time.monotonic()
        for each in batch:
            self._latencies.add(now - each.came)
        self._answered += results
        self._batches += 1
        self._done.add(results, seconds)

    def _break(self, error: DriverError) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)


def _result(output: bytes, milliseconds: float) -> InferReply:
    if len(output) > TENSOR_BYTES_LIMIT:
        detail = f"a result of {len(output)} bytes does not go over the bus"
        return InferReply(status="too_large", detail=detail)
    return InferReply(status="ok", output=output, milliseconds=milliseconds)


def _model_fault(error: CvmError) -> InferReply:
    """Only what consensus itself calls a logic error is one."""
    if error.logic:
        return InferReply(status="logic_error", detail=str(error))
    return _unavailable(str(error))


def _unavailable(detail: str) -> InferReply:
    return InferReply(status="unavailable", detail=detail)


def _reply(waiting: Waiting, reply: InferReply) -> None:
    """Unless it is answered already, or gone."""
    if not waiting.reply.done():
        waiting.reply.set_result(reply)


def create(place: Place, assignment: AssignmentMessage) -> Activity:
    return Infer(place)
