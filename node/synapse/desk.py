"""From what a node asks to its answer: kept results, equal requests joined, deadlines.

An answer is a result, a fault that every node finds, or an outage. Nothing but an `InferLogicError`
of the node's own inference becomes a fault.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from functools import partial

from node.models.cache import Cache, CacheCounts
from node.models.eviction import Policy
from node.spec.chain import Chain
from node.spec.vm.context import Infer, InferLogicError, InferRuntimeError, KernelFault
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

#: Ranks: prices are cheap, and a block's execution begins with them.
GAS_RANK, FIRST_RANK, USUAL_RANK = range(3)
#: What a kept result takes beside its bytes.
OVERHEAD_BYTES = 300

log = logging.getLogger(__name__)

Answer = tuple[Reply, Outcome]


class Desk:
    """``infer`` computes and is called from threads; ``fetcher`` finds contents."""

    def __init__(
        self, infer: Infer, fetcher: Fetcher, settings: SynapseSettings, figures: Figures
    ) -> None:
        self._infer = infer
        self._fetcher = fetcher
        self._settings = settings
        self._figures = figures
        self._lanes = Lanes(settings.threads)
        self._kept: Cache[Reply] = Cache(settings.cache_bytes, Policy.LRU)
        self._running: dict[bytes, asyncio.Task[Answer]] = {}

    @property
    def running(self) -> int:
        """Inferences that are worked on or wait."""
        return len(self._running)

    def cache_counts(self) -> CacheCounts:
        return self._kept.counts()

    def close(self) -> None:
        for task in self._running.values():
            task.cancel()
        self._lanes.close()

    async def answer(self, work: Work, goes_first: bool = False) -> Answer:
        chain = find_rules(work.network_id)
        model = chain.replaced_models.get(work.model, work.model)
        fixed = _find_fixed(chain, model, work)
        if fixed is not None:
            self._figures.count_source(Source.FIXED)
            return Reply(fixed), Outcome.OK
        key = _key(chain, model, work)
        known = self._kept.get(key)
        if known is not None:
            self._figures.count_source(Source.CACHE)
            return known, Outcome.OK
        rank = FIRST_RANK if goes_first else USUAL_RANK
        return await self._join(key, model, work, rank)

    async def _join(self, key: bytes, model: bytes, work: Work, rank: int) -> Answer:
        """Wait, until the deadline, for who computes this already, or for whom begins to."""
        task = self._running.get(key)
        if task is None:
            if len(self._running) >= self._settings.max_waiting:
                return outage(f"{len(self._running)} inferences are waiting"), Outcome.BUSY
            self._figures.count_source(Source.COMPUTED)
            task = asyncio.create_task(self._work(key, model, work, rank))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        else:
            self._figures.count_source(Source.JOINED)
        seconds = self._settings.deadline_seconds
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            return outage(f"no result within {seconds:g} s; it is still worked on"), Outcome.LATE
        if task.cancelled():
            return outage("the service stops"), Outcome.UNAVAILABLE
        return task.result()

    async def _work(self, key: bytes, model: bytes, work: Work, rank: int) -> Answer:
        try:
            reply = await self._compute(model, work, rank)
        except InferLogicError as error:
            log.info(
                "model %s is at fault: %s", model.hex(), error, extra={"action": "logic_error"}
            )
            return logic_fault(), Outcome.LOGIC_ERROR
        except (InferRuntimeError, ContentMissing) as error:
            if not isinstance(error, ContentMissing | KernelFault):
                self._figures.count_engine_unavailable()
            return outage(str(error)), Outcome.UNAVAILABLE
        except Exception as error:  # the top of a task: whoever waits must be answered
            log.exception("an inference failed", extra={"action": "infer_failed"})
            return outage(f"internal: {type(error).__name__}"), Outcome.UNAVAILABLE
        self._kept.put(key, reply, len(reply.data) + OVERHEAD_BYTES)
        return reply, Outcome.OK

    async def _compute(self, model: bytes, work: Work, rank: int) -> Reply:
        await self._fetcher.ensure(model)
        if isinstance(work, HashWork):
            await self._fetcher.ensure(work.input)
        if isinstance(work, GasWork):
            count = partial(self._infer.operations, model, work.model_size)
            return count_reply(await self._lanes.run(GAS_RANK, count))
        return Reply(await self._lanes.run(rank, self._prepare(model, work)))

    def _prepare(self, model: bytes, work: HashWork | ContentWork) -> Callable[[], bytes]:
        def run() -> bytes:
            if isinstance(work, ContentWork):
                return self._infer.run(model, work.input, work.model_size)
            data = self._infer.input_data(work.input, work.input_size)
            return self._infer.run(model, data, work.model_size)

        return run


def _find_fixed(chain: Chain, model: bytes, work: Work) -> bytes | None:
    if isinstance(work, GasWork) or not chain.fixed_results:
        return None
    name = work.input.hex() if isinstance(work, HashWork) else name_content(work.input)
    return fixed_result(chain, model, name)


def _key(chain: Chain, model: bytes, work: Work) -> bytes:
    """Of all that a result depends on; an infohash names its content for good."""
    if isinstance(work, GasWork):
        return b"%d/%b" % (chain.chain_id, model)
    if isinstance(work, HashWork):
        return b"%d/%b/%b" % (chain.chain_id, model, work.input)
    content = hashlib.blake2b(work.input, digest_size=32).digest()
    return b"%d/%b/content/%b" % (chain.chain_id, model, content)
