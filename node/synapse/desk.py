"""From what a node asks to its answer: kept results, equal requests joined, deadlines.

An answer is a result, a fault that every node finds, or an outage. Nothing but an `InferLogicError`
of the node's own inference becomes a fault.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from node.inference import Inference, Urgency
from node.models.cache import Cache
from node.spec.chain import Chain
from node.spec.crypto import keccak
from node.spec.vm.context import InferLogicError, InferRuntimeError, KernelFault
from node.spec.vm.infer import fixed_result, name_content
from node.synapse.fetching import ContentMissing, Fetcher
from node.synapse.figures import Figures, Outcome, Source
from node.synapse.lanes import Lanes
from node.synapse.messages import (
    ContentWork,
    GasWork,
    HashWork,
    Reply,
    Work,
    count_reply,
    logic_fault,
    outage,
)
from node.synapse.networks import find_rules
from node.synapse.settings import SynapseSettings

#: Of callers who go first, and of the others.
URGENCIES = (Urgency.BLOCK, Urgency.BUILD)
#: Prices wait for no inference: a block's execution begins with them.
PRICE_THREADS = 2
#: Of remembered prices and names of inputs.
MEMORY_BYTES = 16 * 1024**2
ENTRY_BYTES = 256

log = logging.getLogger(__name__)

Answer = tuple[Reply, Outcome]
#: The inference for models of the extension form, or for the official form alone.
Inferences = Callable[[bool], Inference]


class Desk:
    """``inferences`` compute and are called from threads; ``fetcher`` finds contents."""

    def __init__(
        self,
        inferences: Inferences,
        fetcher: Fetcher,
        settings: SynapseSettings,
        figures: Figures,
    ) -> None:
        self._inferences = inferences
        self._fetcher = fetcher
        self._settings = settings
        self._figures = figures
        self._lanes = Lanes(settings.threads)
        self._price_lanes = Lanes(PRICE_THREADS)
        self._prices: Cache[int] = Cache(MEMORY_BYTES)
        self._names: Cache[bytes] = Cache(MEMORY_BYTES)
        """Keccak-256 of an input's bytes by its infohash, which names them for good."""
        self._requests: Cache[tuple[Inference, bytes, bytes]] = Cache(MEMORY_BYTES)
        """Inference, model and input of long requests by their digest, so that an equal one need
        not be read. Results are not among it: they may be taken back."""
        self._running: dict[tuple[bytes, Urgency], asyncio.Task[Answer]] = {}
        self._running_bytes = 0

    @property
    def running(self) -> int:
        """Requests that are worked on or wait; equal ones of one urgency are one."""
        return len(self._running)

    def close(self) -> None:
        for task in self._running.values():
            task.cancel()
        self._lanes.close()
        self._price_lanes.close()

    def recall(self, digest: bytes) -> Reply | None:
        """What an equal request is answered with, if that is known."""
        found = self._requests.get(digest)
        result = None if found is None else found[0].recall(*found[1:])
        if result is None:
            return None
        self._figures.count_source(Source.CACHE)
        return Reply(result)

    async def answer(
        self, work: Work, goes_first: bool, seconds: float, digest: bytes = b""
    ) -> Answer:
        """Within so many seconds. ``digest`` is the request's own, for `recall`."""
        chain = find_rules(work.network_id)
        model = chain.replaced_models.get(work.model, work.model)
        asked = _Asked(work, model, self._inferences(chain.vm.extended_models), chain)
        # Before what is known: the same bytes under their other name are computed and kept.
        fixed = _find_fixed(chain, model, work)
        if fixed is not None:
            self._figures.count_source(Source.FIXED)
            return Reply(fixed), Outcome.OK
        if digest and asked.data_hash is not None:
            self._requests.put(digest, (asked.inference, model, asked.data_hash), ENTRY_BYTES)
        known = self._recall(asked)
        if known is not None:
            self._figures.count_source(Source.CACHE)
            return known, Outcome.OK
        urgency = Urgency.BLOCK if goes_first else Urgency.BUILD
        return await self._join(asked, urgency, max(0.0, seconds))

    def _recall(self, asked: _Asked) -> Reply | None:
        work = asked.work
        if isinstance(work, GasWork):
            price = self._prices.get(asked.key)
            return None if price is None else count_reply(price)
        name = asked.data_hash or self._names.get(work.input)
        result = None if name is None else asked.inference.recall(asked.model, name)
        return None if result is None else Reply(result)

    async def _join(self, asked: _Asked, urgency: Urgency, seconds: float) -> Answer:
        """Wait, until the deadline, for who computes this already, or for whom begins to. Whoever
        is more urgent begins himself; the scheduler makes one of the two."""
        known = {u: t for u in URGENCIES if (t := self._running.get((asked.key, u)))}
        task = next((each for other, each in known.items() if other <= urgency), None)
        if task is None:
            if self._is_full(asked):
                return outage(f"{len(self._running)} requests are waiting"), Outcome.BUSY
            task = self._begin(asked, urgency)
        self._figures.count_source(Source.JOINED if known else Source.COMPUTED)
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            seconds = self._settings.deadline_seconds
            return outage(f"no result within {seconds:g} s; it is still worked on"), Outcome.LATE
        if task.cancelled():
            return outage("the service stops"), Outcome.UNAVAILABLE
        return task.result()

    def _is_full(self, asked: _Asked) -> bool:
        """What nobody waits for any more is counted too, as long as it is worked on."""
        settings = self._settings
        too_much = self._running_bytes + asked.size > settings.max_waiting_bytes
        return too_much or len(self._running) >= settings.max_waiting

    def _begin(self, asked: _Asked, urgency: Urgency) -> asyncio.Task[Answer]:
        task = asyncio.create_task(self._work(asked, urgency))
        self._running[asked.key, urgency] = task
        self._running_bytes += asked.size

        def end(_: asyncio.Task[Answer]) -> None:
            del self._running[asked.key, urgency]
            self._running_bytes -= asked.size

        task.add_done_callback(end)
        return task

    async def _work(self, asked: _Asked, urgency: Urgency) -> Answer:
        try:
            return await self._compute(asked, urgency), Outcome.OK
        except InferLogicError as error:
            log.info("at fault: %s: %s", asked.model.hex(), error, extra={"action": "logic_error"})
            return logic_fault(), Outcome.LOGIC_ERROR
        except (InferRuntimeError, ContentMissing) as error:
            if not isinstance(error, ContentMissing | KernelFault):
                self._figures.count_engine_unavailable()
            return outage(str(error)), Outcome.UNAVAILABLE
        except Exception as error:  # the top of a task: whoever waits must be answered
            log.exception("an inference failed", extra={"action": "infer_failed"})
            return outage(f"internal: {type(error).__name__}"), Outcome.UNAVAILABLE

    async def _compute(self, asked: _Asked, urgency: Urgency) -> Reply:
        work, model = asked.work, asked.model
        await self._fetcher.ensure(model)
        if isinstance(work, HashWork):
            await self._fetcher.ensure(work.input)
        if isinstance(work, GasWork):
            count = partial(asked.inference.operations, model, work.model_size)
            price = await self._price_lanes.run(urgency, count)
            self._prices.put(asked.key, price, ENTRY_BYTES)
            return count_reply(price)
        return Reply(await self._lanes.run(urgency, partial(self._run, asked, work, urgency)))

    def _run(self, asked: _Asked, work: HashWork | ContentWork, urgency: Urgency) -> bytes:
        """In a thread."""
        data = work.input
        if isinstance(work, HashWork):
            data = asked.inference.input_data(work.input, work.input_size)
            self._names.put(work.input, keccak(data), ENTRY_BYTES)
        return asked.inference.run(asked.model, data, work.model_size, urgency)


class _Asked:
    """A request with what its network makes of it."""

    def __init__(self, work: Work, model: bytes, inference: Inference, chain: Chain) -> None:
        self.work, self.model, self.inference = work, model, inference
        content = work.input if isinstance(work, ContentWork) else None
        self.data_hash = None if content is None else keccak(content)
        self.size = len(content or b"")
        source = b"" if isinstance(work, GasWork) else self.data_hash or work.input
        kind = b"extended" if chain.vm.extended_models else b"official"
        self.key = b"/".join((kind, model, source))
        """Of all that the answer depends on."""


def _find_fixed(chain: Chain, model: bytes, work: Work) -> bytes | None:
    if isinstance(work, GasWork) or not chain.fixed_results:
        return None
    name = work.input.hex() if isinstance(work, HashWork) else name_content(work.input)
    return fixed_result(chain, model, name)
