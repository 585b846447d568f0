"""The node's process on the farm: work, solutions, models and INFER over the bus.

The node goes on without the bus: blocks are imported and the JSON-RPC answers; only inference
waits, and miners that come by the bus get no work until it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from functools import lru_cache

from farmctl.agent.artifacts import read_artifact
from farmctl.bus import Bus
from farmctl.errors import BadRequest, BusError, FarmError
from farmctl.evaluation import EvaluationDesk
from farmctl.inference.messages import InferenceStatus
from farmctl.inference.mismatch import tell_mismatch
from farmctl.messages import (
    CacheStatus,
    KeepReply,
    KeepRequest,
    Message,
    ModelReply,
    ModelRequest,
    NodeStatus,
    StratumStatus,
    Submission,
    SubmissionReply,
    Work,
)
from farmctl.mining.task import make_work
from farmctl.model_transfer import give
from farmctl.pools.failover import Pools
from node.errors import (
    NodeError,
    NoWork,
    SubmissionReason,
    SubmissionRefused,
)
from node.light.service import LightService
from node.models.card import read_card
from node.models.content import CONTENT_BYTES_LIMIT
from node.models.errors import StorageError
from node.models.input_file import read_input_shape
from node.models.loading import GraphLoader
from node.models.storage import DATA, PARAMETERS, SYMBOL
from node.service import NodeService
from node.spec.chain import Chain
from node.spec.cvm import CvmError, load
from node.stratum.listener import Listener
from node.stratum.relay.server import RelayServer
from node.stratum.server import StratumServer
from node.work import WorkPackage

STATUS_SECONDS = 1.0

Service = NodeService | LightService

log = logging.getLogger(__name__)


class NodeLink:
    """Serves a running node on a bus."""

    def __init__(
        self,
        chain: Chain,
        service: Service,
        loader: GraphLoader,
        pools: Pools | None = None,
    ) -> None:
        self._chain = chain
        self._service = service
        self._loader = loader
        self._bus: Bus | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pools = pools
        self.evaluations: EvaluationDesk | None = None
        """Where test sets are run."""
        self.stratum: StratumServer | None = None
        """Where the node serves the miners of others."""
        self.relay: RelayServer | None = None
        """Where it serves them with another pool's work."""
        self.inference: Callable[[], InferenceStatus] | None = None
        """How inference does, where that is told."""
        self._read = lru_cache(maxsize=2)(loader.storage.read)

    async def join(self, bus: Bus) -> None:
        """Serve and publish on this bus. Raises `BusError`."""
        await bus.serve("node.work", Message, self._give_work)
        await bus.serve("node.submit", Submission, self._judge)
        await bus.serve("node.model", ModelRequest, self._give_model)
        await bus.serve("node.keep", KeepRequest, lambda request: self._keep(bus, request))
        if self.evaluations is not None:
            await self.evaluations.join(bus)
        self._bus = bus

    def announce(self, package: WorkPackage) -> None:
        """Tell devices of the node's new work, unless they mine at pools."""
        if self._pools is None:
            self.tell(self._offer(package))

    def tell(self, work: Work) -> None:
        self._publish("node.work.new", work)

    def report_engine(self, model: str, device: str, what: str) -> None:
        """Tell the farm of a device that computed wrongly (from the event loop)."""
        self._spawn(tell_mismatch(self._bus, model, device, what))

    def distrust(self, device: str) -> None:
        """Take back what a wrong device alone stands for (from any thread)."""
        self._service.node.inference.distrust(device)

    async def run(self) -> None:
        """Publish the node's status each second, for ever."""
        while True:
            # Here: connections change on this loop.
            pool, relay = _pool_status(self.stratum), _pool_status(self.relay)
            self._publish("node.status", await asyncio.to_thread(self.status, pool, relay))
            if self.inference is not None:
                self._publish("node.inference", self.inference())
            await asyncio.sleep(STATUS_SECONDS)

    def status(
        self, stratum: StratumStatus | None = None, relay: StratumStatus | None = None
    ) -> NodeStatus:
        state = self._service.status()
        board = self._service.node.peer_board
        return NodeStatus(
            chain=state.chain,
            height=state.head.number,
            head=state.head.hash().hex(),
            time=state.head.timestamp,
            difficulty=state.head.difficulty,
            syncing=board.syncing is not None,
            pending_transactions=state.pending_transactions,
            peers=board.connected,
            coinbase="0x" + self._service.node.coinbase.hex(),
            balance_wei=str(state.balance_wei),
            blocked=state.blocked,
            stratum=stratum,
            relay=relay,
            mode="light" if isinstance(self._service, LightService) else "full",
            model_cache=CacheStatus(**asdict(self._loader.cache.counts())),
        )

    async def _give_work(self, _: Message) -> Work:
        if self._pools is not None:
            return self._pools.work()
        try:
            return self._offer(self._service.node.desk.current())
        except NoWork as error:
            return self._work(bytes(32), 0, 0, str(error))

    def _offer(self, package: WorkPackage) -> Work:
        return self._work(package.seal_hash, package.target, package.height)

    def _work(self, seal_hash: bytes, target: int, height: int, absent: str = "") -> Work:
        work = make_work(self._chain.name, self._chain.pow, seal_hash, target, height)
        return work.model_copy(update={"available": not absent, "detail": absent})

    async def _judge(self, submission: Submission) -> SubmissionReply:
        if self._pools is not None:
            return await self._pools.submit(submission)
        if submission.chain != self._chain.name:
            detail = f"this node mines {self._chain.name}, not {submission.chain}"
            return SubmissionReply(outcome="rejected", detail=detail)
        try:
            block = await self._service.submit(
                bytes.fromhex(submission.seal_hash), submission.nonce, submission.edges
            )
        except SubmissionRefused as error:
            return SubmissionReply(
                outcome="stale" if error.reason is SubmissionReason.STALE else "rejected",
                duplicate=error.reason is SubmissionReason.DUPLICATE,
                detail=str(error),
            )
        except (ValueError, NodeError) as error:
            return SubmissionReply(outcome="rejected", detail=str(error))
        return SubmissionReply(outcome="accepted", detail=f"block {block.header.number}")

    async def _give_model(self, request: ModelRequest) -> ModelReply:
        return await asyncio.to_thread(give, self._read, request)

    async def _keep(self, bus: Bus, request: KeepRequest) -> KeepReply:
        try:
            files: dict[str, bytes] = {
                name: await read_artifact(bus, artifact, CONTENT_BYTES_LIMIT)
                for name, artifact in request.files.items()
            }
            infohash = await asyncio.to_thread(self._store, files)
        except (FarmError, StorageError) as error:
            return KeepReply(detail=str(error))
        return KeepReply(infohash=infohash.hex())

    def _store(self, files: Mapping[str, bytes]) -> bytes:
        """Raises `StorageError`, or `BadRequest` where the files are no model and no input."""
        storage = self._loader.storage
        if files.keys() == {SYMBOL, PARAMETERS}:
            _check_model(self._chain, files[SYMBOL], files[PARAMETERS])
            return storage.put_model(files[SYMBOL], files[PARAMETERS])
        if files.keys() == {DATA}:
            _check_file(files[DATA])
            return storage.put_input(files[DATA])
        raise BadRequest("send symbol and params of a model, or an input or a card as data")

    def _publish(self, subject: str, message: Message) -> None:
        if self._bus is not None:
            self._spawn(_publish(self._bus, subject, message))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _pool_status(server: Listener | None) -> StratumStatus | None:
    if server is None:
        return None
    status = server.status()
    counts = status.counts
    return StratumStatus(
        connections=status.connections,
        miners=status.miners,
        banned=status.banned,
        shares={outcome: counts.shares[outcome] for outcome in ("accepted", *SubmissionReason)},
        work=counts.work,
        bad_lines=counts.bad_lines,
        refused_connections=counts.refused_connections,
        dropped_connections=counts.dropped_connections,
        bans=counts.bans,
        blocks=counts.blocks,
    )


def _check_model(chain: Chain, symbol: bytes, parameters: bytes) -> None:
    try:
        load(symbol, parameters, extended=chain.vm.extended_models)
    except CvmError as error:
        raise BadRequest(f"symbol and params are no whole model: {error}") from error


def _check_file(content: bytes) -> None:
    """Raises `MalformedModel` unless it is an input or a model's card."""
    if content.startswith(b"{"):
        read_card(content)
    else:
        read_input_shape(content)


async def _publish(bus: Bus, subject: str, message: Message) -> None:
    try:
        await bus.publish(subject, message)
    except BusError as error:
        log.debug("not published: %s", error)
