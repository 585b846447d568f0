"""The process ``farmctl node run``: the node, its JSON-RPC, and its place on the bus."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from farmctl.bus_engine import BusEngine
from farmctl.config import Config
from farmctl.cycles import verify_cycle
from farmctl.errors import BusError, ConfigError, FarmError
from farmctl.evaluation import EvaluationDesk
from farmctl.inference.reporting import describe
from farmctl.messages import Work
from farmctl.mining.task import verify_proof
from farmctl.nats_bus import NatsBus, connect
from farmctl.node_home import held, need_chain
from farmctl.node_link import NodeLink
from farmctl.pools.client import PoolClient
from farmctl.pools.cortex import CortexClient
from farmctl.pools.failover import Pools
from farmctl.pools.grin import GrinClient
from farmctl.pools.relaying import Relaying
from node.chains import find_mined
from node.errors import NodeError
from node.inference import CrossCheckedEngine, InferEngine, ReferenceEngine
from node.key import load_key
from node.models.errors import StorageError
from node.models.eviction import Policy
from node.models.loading import GraphLoader
from node.models.replication import Replication, find_missing
from node.models.storage.combined import CombinedStorage
from node.models.storage.opening import open_storage
from node.peers.service import PeerService
from node.service import NodeService
from node.spec.chain import Chain
from node.spec.coin import Coin
from node.spec.crypto import private_address
from node.spec.vm import INTERPRETERS
from node.spec.vm.frame import Interpret
from node.stratum.server import StratumServer
from node.work import WorkPackage

RECONNECT_SECONDS = 1.0

log = logging.getLogger(__name__)


class NodeProcess:
    """Everything of the node's process; `run` returns after SIGINT or SIGTERM."""

    def __init__(self, config: Config, chain: Chain | None = None) -> None:
        self._config = config
        self._chain = chain or need_chain(config.node.chain)
        self._home = config.home / "node"
        self._engine = BusEngine(config.node.infer_timeout_seconds)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stratum: StratumServer | None = None
        self._mined = [_mined(section.chain) for section in config.pools]
        self._pools = self._find_pools()
        self._relaying = self._find_relaying()
        self.link: NodeLink | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Raises `FarmError` where the home is in use, the port taken or the store unreadable."""
        ending = stop or asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, ending.set)
        with held(self._home), self._open_storage() as storage:
            await self._run(storage, ending)

    async def _run(self, storage: CombinedStorage, ending: asyncio.Event) -> None:
        loader = self._loader(storage)
        checked = self._checked_engine(loader)
        try:
            service = self._service(loader, checked)
        except NodeError as error:
            raise FarmError(str(error)) from error
        node, every = service.node, self._config.storage.check_seconds
        with Replication(storage, lambda: find_missing(storage, node.index, node.store), every):
            await self._serve(service, loader, checked, ending)

    @contextmanager
    def _open_storage(self) -> Iterator[CombinedStorage]:
        try:
            storage = open_storage(self._config.home / "models", self._config.storage)
        except StorageError as error:
            raise FarmError(str(error)) from error
        try:
            yield storage
        finally:
            storage.close()

    def _loader(self, storage: CombinedStorage) -> GraphLoader:
        node = self._config.node
        extended = self._chain.vm.extended_models
        return GraphLoader(storage, node.cache_bytes, Policy(node.cache_policy), extended=extended)

    async def _serve(
        self,
        service: NodeService,
        loader: GraphLoader,
        checked: CrossCheckedEngine,
        ending: asyncio.Event,
    ) -> None:
        link = NodeLink(self._chain, service, loader, self._pools)
        link.inference = lambda: describe(service.node, self._engine, checked)
        self.link = link
        evaluations = link.evaluations = EvaluationDesk(service.node)
        await service.start()
        log.info("JSON-RPC on port %d", service.rpc_port, extra={"action": "node_started"})
        try:
            await self._start_stratum(service, link)
            peers = await self._start_peers(service)
            try:
                await self._work(link, ending)
            finally:
                await peers.stop()
        finally:
            await evaluations.stop()
            if self._stratum is not None:
                await self._stratum.stop()
            await service.stop()

    async def _start_stratum(self, service: NodeService, link: NodeLink) -> None:
        """Serve the miners of others, where that is configured."""
        settings = self._config.stratum
        if not settings.is_on:
            return
        secret = load_key(self._home / "key")
        stratum = StratumServer(settings, service.node, service.import_sealed, verify_cycle, secret)
        try:
            await stratum.start()
        except NodeError as error:
            raise FarmError(str(error)) from error
        self._stratum = link.stratum = stratum
        log.info("miners on ports %s", stratum.ports, extra={"action": "stratum_started"})

    async def _start_peers(self, service: NodeService) -> PeerService:
        """Follow the configured feeds, and let other nodes connect where that is configured."""
        try:
            peers = PeerService(
                self._config.peer_settings,
                service.node,
                service.import_blocks,
                verify_cycle,
                self._home / "peer.pem",
            )
        except NodeError as error:
            raise FarmError(str(error)) from error
        await peers.start()
        return peers

    async def _work(self, link: NodeLink, ending: asyncio.Event) -> None:
        """Until asked to end, or until a part fails."""
        self._engine.on_wrong = link.distrust
        await self._start_relaying(link)
        try:
            await self._run_tasks(link, ending)
        finally:
            if self._relaying is not None:
                await self._relaying.stop()

    async def _start_relaying(self, link: NodeLink) -> None:
        if self._relaying is None:
            return
        try:
            await self._relaying.start()
        except NodeError as error:
            raise FarmError(str(error)) from error
        link.relay = self._relaying.server

    async def _run_tasks(self, link: NodeLink, ending: asyncio.Event) -> None:
        tasks = [asyncio.create_task(self._join(link)), asyncio.create_task(link.run())]
        if self._pools is not None:
            tasks.append(asyncio.create_task(self._pools.run()))
        stopping = asyncio.create_task(ending.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping):
            task.cancel()
        ended = await asyncio.gather(*tasks, stopping, return_exceptions=True)
        failures = [e for e in ended if isinstance(e, Exception)]
        if failures:
            raise failures[0]

    def _service(self, loader: GraphLoader, engine: InferEngine) -> NodeService:
        node = self._config.node
        return NodeService(
            self._chain,
            self._home,
            loader,
            engine,
            private_address(load_key(self._home / "key")),
            verify_cycle,
            node.host,
            node.port,
            self._announce,
            find_interpreter(self._config),
            self._config.rpc,
            keep_states=node.keep_states,
            prerun=node.prerun,
        )

    def _checked_engine(self, loader: GraphLoader) -> CrossCheckedEngine:
        node = self._config.node
        return CrossCheckedEngine(
            self._engine,
            ReferenceEngine(loader),
            node.cross_check_ratio,
            self._report,
            self._engine,
            node.class_check_ratio,
        )

    def _find_pools(self) -> Pools | None:
        """The outside pools that devices mine at, where any are configured."""
        sections = self._config.pools

        def make(place: int, on_job: Callable[[Work], None]) -> PoolClient:
            section, what = sections[place], self._mined[place]
            if isinstance(what, Coin):
                return GrinClient(section, what, verify_proof, on_job)
            return CortexClient(section, what, verify_proof, on_job)

        return Pools(len(sections), make, self._tell_work) if sections else None

    def _find_relaying(self) -> Relaying | None:
        if not self._config.stratum.relay_port:
            return None
        coins = {each.name: each for each in self._mined if isinstance(each, Coin)}
        return Relaying(self._config.stratum, self._pools, coins)

    def _tell_work(self, work: Work) -> None:
        if self.link is not None:
            self.link.tell(work)
        if self._relaying is not None:
            self._relaying.tell(work)

    def _announce(self, package: WorkPackage) -> None:
        if self.link is not None:
            self.link.announce(package)
        if self._stratum is not None:
            self._stratum.offer(package.block)

    async def _join(self, link: NodeLink) -> None:
        """Connect to the bus, however long it takes; the connection then mends itself."""
        while True:
            bus = await self._connect()
            try:
                await self._engine.join(bus)
                await link.join(bus)
                await asyncio.Event().wait()
            except BusError as error:
                log.warning("joining the bus failed: %s", error, extra={"action": "bus_lost"})
            finally:
                await bus.close()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self) -> NatsBus:
        seed = self._config.bus_seed
        while True:
            with suppress(BusError):
                return await connect(self._config.bus_url, seed if seed.exists() else None, "node")
            await asyncio.sleep(RECONNECT_SECONDS)

    def _report(self, model: str, device: str, what: str) -> None:
        """Called from the threads that ask the engine: whoever was wrong is asked no more, and
        what it said before is taken back."""
        self._engine.board.bar(device)
        if self._loop is not None and self.link is not None:
            self._loop.call_soon_threadsafe(self.link.report_engine, model, device, what)
            self.link.distrust(device)


def find_interpreter(config: Config) -> Interpret:
    try:
        return INTERPRETERS[config.node.interpreter]
    except KeyError as error:
        names = ", ".join(INTERPRETERS)
        raise ConfigError(f"[node] interpreter: {error} is none of {names}") from error


def _mined(name: str) -> Chain | Coin:
    try:
        return find_mined(name)
    except KeyError as error:
        raise ConfigError(f"[[pools]] chain: {error.args[0]}") from error
