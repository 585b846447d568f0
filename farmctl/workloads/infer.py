"""Consensus inference: answers the node's INFER requests on a device, to the bit.

An answer is either the model's result, or a fault that every node would find (``logic_error``),
or ``unavailable``: an outage is never answered as a result.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping

from drivers.base import Capability
from drivers.errors import BadArgument, DriverError, NotSupported
from drivers.worker import WorkerSession, open_session
from farmctl.agent.models import ModelFiles
from farmctl.agent.rate import Rate
from farmctl.bus import Bus
from farmctl.errors import BusError, NotFound, StoreError
from farmctl.messages import AssignmentMessage, InferReply, InferRequest
from farmctl.workloads.base import Activity, Place
from node.lowering import encode_heads, lower
from node.spec.cvm import CvmError, Graph, load
from node.spec.cvm.execution import decode_input

log = logging.getLogger(__name__)
SUBJECT = "infer.run"
QUEUE = "infer"
#: Models kept on the device; the longest unused is unloaded.
RESIDENT_LIMIT = 16
#: Requests waiting for the device; further ones are answered ``unavailable`` at once.
WAITING_LIMIT = 64
SESSION_DEADLINE_SECONDS = 30.0


class Infer:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._files = ModelFiles(place.folder / "models")
        self._session: WorkerSession | None = None
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._leaves = False
        """What still waits is answered ``unavailable``, so that another device is asked."""
        self._done = Rate()
        self._fault: asyncio.Future[None] | None = None

    async def start(self) -> None:
        self._graphs.clear()
        self._session = await asyncio.to_thread(
            open_session,
            self._place.family,
            self._place.device_id,
            Capability.INFER,
            SESSION_DEADLINE_SECONDS,
        )

    async def run(self) -> None:
        self._fault = asyncio.get_running_loop().create_future()
        self._leaves = False
        bus = await self._place.link.wait()

        async def answer(request: InferRequest) -> InferReply:
            return await self._answer(bus, request)

        serving = await bus.serve(SUBJECT, InferRequest, answer, QUEUE)
        try:
            await self._fault
        finally:
            self._leaves = True
            await serving.stop()

    async def stop(self) -> None:
        async with self._turn:
            session, self._session = self._session, None
            if session is not None:
                await asyncio.to_thread(session.close)

    def rates(self) -> Mapping[str, float]:
        return {"infers_per_second": self._done.per_second()}

    async def _answer(self, bus: Bus, request: InferRequest) -> InferReply:
        if self._waiting >= WAITING_LIMIT:
            return self._unavailable(f"{WAITING_LIMIT} requests are waiting already")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._infer(bus, request)
        finally:
            self._waiting -= 1

    async def _infer(self, bus: Bus, request: InferRequest) -> InferReply:
        """One request, with the device to itself."""
        if self._leaves or self._session is None or time.time() > request.deadline:
            return self._unavailable("too late: the device left or the deadline passed")
        began = time.monotonic()
        try:
            graph = await self._load(bus, self._session, request.model)
            values = decode_input(graph, request.input).astype("<i4").tobytes()
            answer = await asyncio.to_thread(self._session.run, request.model, values)
            output = encode_heads(graph, answer)
        except CvmError as error:
            return self._model_fault(error)
        except (NotSupported, BadArgument, NotFound, BusError, StoreError) as error:
            return self._unavailable(str(error))
        except DriverError as error:
            self._break(error)
            return self._unavailable(str(error))
        seconds = time.monotonic() - began
        self._done.add(1, seconds)
        return InferReply(
            status="ok",
            output=output,
            device=self._place.device,
            milliseconds=seconds * 1000,
        )

    async def _load(self, bus: Bus, session: WorkerSession, model: str) -> Graph:
        """The model's graph, resident on the device."""
        graph = self._graphs.get(model)
        if graph is None:
            symbol, parameters = await self._files.get(bus, model)
            graph = await asyncio.to_thread(load, symbol, parameters, extended=True)
            await asyncio.to_thread(session.load, model, lower(graph))
            self._graphs[model] = graph
        self._graphs.move_to_end(model)
        while len(self._graphs) > RESIDENT_LIMIT:
            oldest, _ = self._graphs.popitem(last=False)
            await asyncio.to_thread(session.unload, oldest)
        return graph

    def _model_fault(self, error: CvmError) -> InferReply:
        """Only what consensus itself calls a logic error is one."""
        if error.logic:
            return InferReply(status="logic_error", device=self._place.device, detail=str(error))
        return self._unavailable(str(error))

    def _unavailable(self, detail: str) -> InferReply:
        return InferReply(status="unavailable", device=self._place.device, detail=detail)

    def _break(self, error: DriverError) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)


def create(place: Place, assignment: AssignmentMessage) -> Activity:
    return Infer(place)
