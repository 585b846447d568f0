"""Looking a model up by its address: the index in memory against the walk through the state."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.chains.farmnet import FARMNET
from node.models.index import ModelIndex
from node.overlay import Overlay
from node.spec.genesis import genesis_block
from node.spec.meta import ModelMeta
from node.spec.state import State
from node.spec.types import Block, Header
from node.store import ChainStore, Executed

FULL_MODELS, QUICK_MODELS = 100_000, 2_000
LOOKUPS = 20_000
ROUNDS = 7
STATE_LOOKUPS = 500


def run(quick: bool) -> dict[str, Any]:
    rows = [measure(count) for count in ([QUICK_MODELS] if quick else [1_000, FULL_MODELS])]
    return {"rows": rows}


def measure(count: int) -> dict[str, Any]:
    rng = random.Random(count)
    addresses = [rng.randbytes(20) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        store = ChainStore(Path(folder))
        head = fill(store, addresses, rng)

        def open_state() -> State:
            return State(Overlay(store), head.state_root)

        build_seconds, index, memory_bytes = build(head, open_state, addresses)
        wanted = rng.choices(addresses, k=LOOKUPS)
        view = index.view(head, 10**6)
        found = {
            "models": count,
            "build_seconds": build_seconds,
            "memory_bytes_per_model": memory_bytes / count,
            "find_microseconds": time_each(wanted, index.find),
            "view_microseconds": time_each(wanted, view),
            "state_microseconds": time_each(wanted[:STATE_LOOKUPS], walk(open_state)),
        }
        store.close()
    return found


def fill(store: ChainStore, addresses: list[bytes], rng: random.Random) -> Header:
    """A chain whose genesis state holds a model at each address."""
    overlay = Overlay(store)
    block = genesis_block(FARMNET, overlay)
    state = State(overlay, block.header.state_root)
    for number, address in enumerate(addresses):
        state.begin_transaction()
        state.set_code(address, model(rng, number).encode())
        state.set_num(address, 1)
        state.end_transaction()
    header = Header(**{**_fields(block.header), "state_root": state.root()})
    store.begin("bench", Executed(Block(header), (), 1, overlay.nodes))
    return header


def _fields(header: Header) -> dict[str, Any]:
    return {name: getattr(header, name) for name in header.__dataclass_fields__}


def model(rng: random.Random, number: int) -> ModelMeta:
    comment = f"model {number}, a classifier of pictures".encode()
    return ModelMeta(
        comment, rng.randbytes(20), 1 << 20, (3, 224, 224), (1000,), 10_000, rng.randbytes(20), 1
    )


def build(
    head: Header, open_state: Callable[[], State], addresses: list[bytes]
) -> tuple[float, ModelIndex, int]:
    """CPU seconds, the index, and the memory that it keeps."""
    started = time.process_time()
    ModelIndex(FARMNET, lambda _: open_state(), lambda: addresses).build(head)
    seconds = time.process_time() - started
    tracemalloc.start()
    index = ModelIndex(FARMNET, lambda _: open_state(), lambda: addresses)
    index.build(head)
    memory_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    if len(index) != len(addresses):
        raise RuntimeError(f"{len(index)} models in the index, not {len(addresses)}")
    return seconds, index, memory_bytes


def walk(open_state: Callable[[], State]) -> Callable[[bytes], Any]:
    """The look-up that the index replaces, each from a fresh state as each block has one."""

    def read(address: bytes) -> Any:
        state = open_state()
        meta = ModelMeta.decode(state.get_code(address))
        return meta, state.get_upload(address), state.get_num(address)

    return read


def time_each(addresses: list[bytes], find: Callable[[bytes], Any]) -> float:
    """Median CPU microseconds of one look-up over some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for address in addresses:
            if find(address) is None:
                raise RuntimeError("a model is missing")
        rounds.append((time.process_time() - started) / len(addresses) * 1e6)
    return statistics.median(rounds)
