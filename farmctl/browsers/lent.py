"""One browser as a device: tested, told what to compute, and verified in all that it answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from drivers import selftest
from drivers.base import Capability, CuckooJob, CuckooSolution
from drivers.cpu.loaded_program import flatten
from drivers.errors import BadArgument, DeviceLost, DriverError, SelfTestFailed
from drivers.kernels.jobs import keys_of_job
from drivers.program import Program
from farmctl.browsers.messages import (
    GRAPHS_LIMIT,
    Failed,
    Form,
    Found,
    FromBrowser,
    Hello,
    Infer,
    Inferred,
    Paused,
    Rest,
    Search,
    Searched,
)
from farmctl.messages import SelfTestReport

log = logging.getLogger(__name__)
#: A browser that is not paused answers something within this time, or is taken to be lost.
SILENT_SECONDS = 120.0
#: Cycles of one search that are kept; in 4,096 graphs there are about 100.
SOLUTIONS_LIMIT = 1000
T = TypeVar("T")
Send = Callable[[Form], Awaitable[None]]


@dataclass
class _Search:
    id: int
    job: CuckooJob
    first: int
    graphs: int
    found: Callable[[CuckooSolution], None]
    progress: Callable[[int], None]
    done: int = 0
    solutions: int = 0
    ended: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class LentBrowser:
    """A browser that is connected. ``send`` takes a message to it; `hear` takes what it says."""

    def __init__(self, device_id: str, hello: Hello, send: Send) -> None:
        self.id = device_id
        self.hello = hello
        self.paused = ""
        """Why it rests, as it says."""
        self.tests: tuple[SelfTestReport, ...] = ()
        self.send = send
        self._numbers = itertools.count(1)
        self._search: _Search | None = None
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._heard = time.monotonic()

    def proved(self, capability: Capability) -> bool:
        return any(test.passed and test.capability == capability for test in self.tests)

    @property
    def is_answering(self) -> bool:
        """Whether it has a program to run."""
        return bool(self._answers)

    def hear(self, message: FromBrowser) -> None:
        """Raises `BadArgument` for a message that does not fit what it was asked; what it was
        asked before, and not any more, is passed over."""
        self._heard = time.monotonic()
        match message:
            case Found():
                self._take_found(message)
            case Searched():
                self._take_searched(message)
            case Inferred():
                self._settle(message.id, message.output)
            case Failed():
                self._fail(message)
            case Paused():
                self.paused = message.reason
            case Hello():
                raise BadArgument("a second greeting")

    def lose(self) -> None:
        """The connection is gone; whoever waits for an answer gets none."""
        lost = DeviceLost("the browser has left")
        if self._search is not None and not self._search.ended.done():
            self._search.ended.set_exception(lost)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(lost)

    async def search(
        self,
        job: CuckooJob,
        first: int,
        graphs: int,
        found: Callable[[CuckooSolution], None],
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Have graphs searched, until all are done. Cancelled, the next search takes its place.
        ``progress`` is told of graphs that the browser says are done. Raises `DriverError`."""
        graphs = min(graphs, GRAPHS_LIMIT)
        search = _Search(next(self._numbers), job, first, graphs, found, progress)
        self._search = search
        keys = tuple(
            b"".join(key.to_bytes(8, "little") for key in keys_of_job(job, first + n)).hex()
            for n in range(graphs)
        )
        try:
            await self.send(
                Search(
                    id=search.id,
                    keys=keys,
                    edge_bits=job.edge_bits,
                    rounds=job.rounds,
                    proof_size=job.proof_size,
                    cycle=job.cycle.pair,
                )
            )
            await self._wait(search.ended)
        finally:
            if self._search is search:
                self._search = None

    async def infer(self, program: Program, data: bytes) -> bytes:
        """Each head's int32 tensor, one after another. Raises `DriverError`."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        parameters = b"".join(p.astype("<i4").tobytes() for p in program.parameters.values())
        try:
            text = flatten(program)
            await self.send(Infer(id=number, text=text, parameters=parameters, input=data))
            return await self._wait(answer)
        finally:
            del self._answers[number]

    async def rest(self) -> None:
        self._search = None
        await self.send(Rest())

    async def prove(self) -> None:
        """Known-answer tests, whose outcome is in `tests`."""
        cuckoo = await self._try(Capability.CUCKOO, self._prove_cuckoo())
        infer = await self._try(Capability.INFER, self._prove_infer())
        self.tests = (cuckoo, infer)

    async def _try(self, capability: Capability, test: Awaitable[str]) -> SelfTestReport:
        began = time.monotonic()
        try:
            detail, passed = await test, True
        except DeviceLost:
            raise
        except DriverError as error:
            detail, passed = str(error), False
        seconds = time.monotonic() - began
        return SelfTestReport(capability=capability, passed=passed, detail=detail, seconds=seconds)

    async def _prove_cuckoo(self) -> str:
        found: list[CuckooSolution] = []
        await self.search(selftest.CUCKOO_JOB, 0, selftest.CUCKOO_GRAPHS, found.append)
        if found != [selftest.CUCKOO_ANSWER]:
            raise SelfTestFailed(f"{len(found)} cycles found are not the known one")
        return f"the known cycle in {selftest.CUCKOO_GRAPHS} graphs"

    async def _prove_infer(self) -> str:
        program = selftest.infer_program()
        data = selftest.spread(program.input_shape, 251, 127).astype("<i4").tobytes()
        answer = await self.infer(program, data)
        if answer != np.array(selftest.INFER_ANSWER, "<i4").tobytes():
            raise SelfTestFailed("the small net answered something else than is known")
        return "a small convolutional net answered to the bit"

    async def _wait(self, answer: asyncio.Future[T]) -> T:
        """Until it answers; a browser that rests is waited for."""
        self._heard = time.monotonic()
        while True:
            try:
                return await asyncio.wait_for(asyncio.shield(answer), SILENT_SECONDS / 4)
            except TimeoutError:
                if not self.paused and time.monotonic() - self._heard > SILENT_SECONDS:
                    raise DeviceLost("the browser does not answer") from None

    def _take_found(self, message: Found) -> None:
        search = self._search
        if search is None or search.id != message.id:
            return
        search.solutions += 1
        if message.graph >= search.graphs or search.solutions > SOLUTIONS_LIMIT:
            raise BadArgument("a cycle of a graph that was not asked for")
        search.found(CuckooSolution(search.first + message.graph, message.edges))

    def _take_searched(self, message: Searched) -> None:
        search = self._search
        if search is None or search.id != message.id:
            return
        search.done += message.graphs
        if search.done > search.graphs:
            raise BadArgument("more graphs than were asked for")
        search.progress(message.graphs)
        if search.done == search.graphs and not search.ended.done():
            search.ended.set_result(None)

    def _settle(self, number: int, output: bytes) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(output)

    def _fail(self, message: Failed) -> None:
        failure = DriverError(f"the browser could not compute: {message.detail}")
        search, answer = self._search, self._answers.get(message.id)
        if search is not None and search.id == message.id and not search.ended.done():
            search.ended.set_exception(failure)
        if answer is not None and not answer.done():
            answer.set_exception(failure)
