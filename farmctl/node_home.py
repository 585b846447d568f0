"""The node's home on disk: held by one process at a time, opened without a farm around it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farmctl.config import Config
from farmctl.cycles import verify_cycle
from farmctl.errors import ConfigError, FarmError, Unavailable
from node.chains import find_chain
from node.core import Node
from node.errors import NodeError
from node.inference import ReferenceEngine
from node.key import load_key
from node.models.loading import GraphLoader
from node.models.storage.directory import DirectoryStorage
from node.spec.chain import Chain
from node.spec.crypto import private_address
from node.store import ChainStore


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Hold the home for this process alone; the kernel lets go when the process ends. Raises
    `Unavailable` where another holds it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Unavailable(
                f"another node runs in {home}, or `farmctl node synapse` without a farm; "
                "stop it first"
            ) from error
        yield


def need_chain(name: str) -> Chain:
    """Raises `ConfigError` where no network has that name."""
    try:
        return find_chain(name)
    except KeyError as error:
        raise ConfigError(f"[node] chain: {error.args[0]}") from error


@contextmanager
def opened_node(config: Config) -> Iterator[Node]:
    """The node, held, without farm, miners or JSON-RPC; inferences are computed here, from the
    models that are on disk. Raises `FarmError`."""
    home = config.home / "node"
    storage = DirectoryStorage(config.home / "models", config.storage.limit_bytes)
    with held(home), _told():
        coinbase = private_address(load_key(home / "key"))
        chain = need_chain(config.node.chain)
        loader = GraphLoader(storage, extended=chain.vm.extended_models)
        node = Node(chain, home, loader, ReferenceEngine(loader), coinbase, verify_cycle)
        try:
            yield node
        finally:
            node.close()


@contextmanager
def opened_store(config: Config) -> Iterator[ChainStore]:
    """The chain for reading; a node may run meanwhile. Raises `FarmError`."""
    with _told():
        store = ChainStore(config.home / "node" / "chain", read_only=True)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NodeError as error:
        raise FarmError(str(error)) from error
