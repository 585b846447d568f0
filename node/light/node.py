"""The light node without its clockwork. It has those parts of `node.core.Node` that reads and
calls of the JSON-RPC use, so that these are the same functions over proven state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from node.errors import NoWork
from node.inference import Inference, InferEngine, Urgency
from node.light.feed import Feed
from node.light.feeds import Feeds
from node.light.following import Follower
from node.light.headers import HeaderChain
from node.light.inclusion import LightStore
from node.light.settings import LightSettings
from node.light.state import States
from node.models.loading import GraphLoader
from node.peers.board import PeerBoard, SyncProgress
from node.rpc.filters import Filters
from node.rpc.settings import RpcSettings
from node.rpc.simulation.calls import LocalCaller
from node.spec.chain import Chain
from node.spec.genesis import genesis_block
from node.spec.seal import CycleVerifier, is_sealed
from node.spec.state import State
from node.spec.trie import MemoryStore
from node.spec.types import Header, Transaction
from node.spec.vm import fast
from node.spec.vm.context import Infer, InferRuntimeError
from node.spec.vm.frame import Interpret
from node.work import WorkPackage


class BoundedInference:
    """`Infer` of models up to a size; a larger one is never loaded."""

    def __init__(self, inner: Infer, model_bytes: int) -> None:
        self._inner, self._most = inner, model_bytes

    def operations(self, model: bytes, raw_size: int) -> int:
        self._check(model, raw_size)
        return self._inner.operations(model, raw_size)

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return self._inner.input_data(infohash, raw_size)

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        self._check(model, raw_size)
        return self._inner.run(model, data, raw_size)

    def _check(self, model: bytes, raw_size: int) -> None:
        if raw_size > self._most:
            raise InferRuntimeError(
                f"model {model.hex()} has {raw_size} bytes and this light node runs models up to "
                f"{self._most}; ask a full node, or raise [light] model_bytes"
            )


class _Mempool:
    """Of a node that keeps no transactions: it hands them on."""

    arrivals = 0

    def since(self, arrival: int) -> tuple[int, tuple[Transaction, ...]]:
        return arrival, ()

    def get(self, transaction_hash: bytes) -> None:
        return None

    def next_nonce(self, sender: bytes, state: State) -> int:
        return state.get_nonce(sender)


class _Desk:
    """Of a node that makes no blocks."""

    def current(self) -> WorkPackage:
        raise NoWork("a light node makes no blocks; run a full node, or mine at [[pools]]")


class LightNode:
    """``feeds`` are JSON-RPC addresses of full nodes, never believed. Raises `StoreError`, and
    `NoAnswer` where it is to begin at a checkpoint that no feed has."""

    def __init__(
        self,
        chain: Chain,
        home: Path,
        settings: LightSettings,
        feeds: Sequence[str],
        loader: GraphLoader,
        engine: InferEngine,
        verify_cycle: CycleVerifier,
        clock: Callable[[], float] = time.time,
        interpret: Interpret = fast.interpret,
        rpc: RpcSettings | None = None,
    ) -> None:
        self.chain, self.settings, self.interpret = chain, settings, interpret
        self.home = home
        self.coinbase = bytes(20)
        """Of nobody: a light node makes no blocks."""
        self.inference = Inference(loader, engine)
        calling = BoundedInference(self.inference.at(Urgency.CALL), settings.model_bytes)
        self.feeds = Feeds([Feed(url) for url in feeds])
        self.headers = HeaderChain(
            chain,
            home / "light" / "headers.db",
            self._root_hash(),
            self._fetch_root,
            lambda chain, header: is_sealed(chain, header, verify_cycle),
            clock,
            settings.kept_headers,
        )
        self.follower = Follower(chain, self.headers, self.feeds, self._tell)
        self.store = LightStore(self.headers, self.feeds, not settings.checkpoint)
        self.desk, self.mempool = _Desk(), _Mempool()
        self.rpc = rpc or RpcSettings()
        self.filters = Filters(self.rpc.max_filters, self.rpc.filter_seconds)
        self._listeners: list[Callable[[], None]] = []
        self._states = States(self.feeds)
        self.calls = LocalCaller(self.store, self.state_at, chain, calling, interpret)

    def _root_hash(self) -> bytes:
        if not self.settings.checkpoint:
            return self._genesis().hash()
        return bytes.fromhex(self.settings.checkpoint.removeprefix("0x"))

    def _fetch_root(self) -> Header:
        if not self.settings.checkpoint:
            return self._genesis()
        return self.feeds.ask("the checkpoint", lambda feed: feed.header(self._root_hash()))

    def _genesis(self) -> Header:
        return genesis_block(self.chain, MemoryStore()).header

    def close(self) -> None:
        self.inference.close()
        self.feeds.close()
        self.headers.close()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call back (from any thread) after a new head."""
        self._listeners.append(listener)

    def _tell(self, head: Header) -> None:
        for listener in self._listeners:
            listener()

    @property
    def peer_board(self) -> PeerBoard:
        """The feeds as people see them."""
        oldest, head, highest = self.headers.oldest(), self.head().number, self.follower.highest
        return PeerBoard(
            peers=tuple(standing.view() for standing in self.feeds.standings),
            syncing=SyncProgress(oldest, highest) if highest > head + 1 else None,
            comparison=self.follower.comparison(),
        )

    def head(self) -> Header:
        return self.headers.head

    def header_at(self, number: int) -> Header | None:
        block_hash = self.headers.hash_at(number)
        return self.headers.header(block_hash) if block_hash else None

    def state_at(self, header: Header) -> State:
        return self._states.at(header)

    def send(self, transaction: Transaction) -> None:
        """Hand a transaction to every feed that can be asked. Raises `NoAnswer` where none takes
        it."""
        raw = transaction.encode()
        self.feeds.tell("the transaction", lambda feed: feed.send(raw))
