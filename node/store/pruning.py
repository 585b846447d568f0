"""Dropping the states that are too old to be needed: mark and sweep, in slices.

A cycle raises the number of the oldest block whose state is kept, marks every node that a block
from there on reaches (on any branch) in a database of its own, and deletes what has no mark.
Nodes are found by hash alone and many states share them, so only such a look at all of them knows
what is dead; a cycle runs when the nodes have doubled since the last, so that each new node
costs about one look.

While a cycle runs, whoever writes a block also notes its nodes as *young*, and nothing young is
deleted. Cycle, notes and deletions are transactions of the chain's own database: a process killed
in between leaves some dead nodes behind, never takes a living one. Blocks go in meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from node.store.environment import Environment, Records
from node.store.records import decode_header, decode_number, encode_number
from node.store.seen import Seen
from node.store.walk import Walk

#: With fewer nodes than these a store is left as it is.
MINIMUM_NODES = 20_000
#: A cycle starts when the nodes are so many times those that the last one left.
GROWTH = 2
MARK_SLICE = 500
SWEEP_SLICE = 5_000
ROOT_SLICE = 200


@dataclass(frozen=True)
class PruneCount:
    """What a cycle did."""

    kept: int
    dropped: int


class Pruner:
    """Belongs to one thread. ``keep_states`` blocks below the head keep their states."""

    def __init__(
        self,
        env: Environment,
        scratch: Path,
        keep_states: int,
        minimum_nodes: int = MINIMUM_NODES,
    ) -> None:
        self._env, self._scratch = env, scratch
        self._keep, self._minimum = keep_states, minimum_nodes
        self._cycle: Generator[None] | None = None
        self.last: PruneCount | None = None
        if env.get("meta", b"pruning") is not None:
            env.write(_end)  # of a cycle that a killed process left

    def step(self) -> bool:
        """Do a slice of some ten milliseconds; False when there is nothing to do now."""
        if self._cycle is None:
            if not self._is_due():
                return False
            self._cycle = self._run()
        if next(self._cycle, self) is self:
            self._cycle = None
            return False
        return True

    def close(self) -> None:
        """Give up the cycle; the next begins anew."""
        if self._cycle is not None:
            self._cycle.close()
            self._cycle = None
            self._env.write(_end)

    def _is_due(self) -> bool:
        if not self._keep:
            return False
        nodes, left, oldest, head = self._env.read(_measure)
        return head - self._keep > oldest and nodes >= max(self._minimum, GROWTH * left)

    def _run(self) -> Generator[None]:
        before = self._env.write(self._begin)
        marks = Seen(self._scratch)
        try:
            yield from self._mark(marks)
            dropped = yield from self._sweep(marks)
        finally:
            marks.close()
        self._env.write(_finish)
        self.last = PruneCount(before - dropped, dropped)

    def _begin(self, records: Records) -> int:
        _, _, oldest, head = _measure(records)
        records.put("meta", b"oldest_state", encode_number(max(oldest, head - self._keep)))
        records.put("meta", b"pruning", b"\1")
        return records.count("nodes")

    def _mark(self, marks: Seen) -> Generator[None]:
        walk = Walk()
        for roots in self._roots():
            for root in roots:
                walk.begin(root)
            while not walk.is_over:
                self._env.read(partial(self._mark_slice, walk, marks))
                yield

    def _mark_slice(self, walk: Walk, marks: Seen, records: Records) -> None:
        marks.advance(walk, partial(records.get, "nodes"), MARK_SLICE)

    def _roots(self) -> Iterator[list[bytes]]:
        """State roots of the blocks whose states are kept; those that come meanwhile are young."""
        after = self._env.get("meta", b"oldest_state") or b""
        while after:
            roots, after = self._env.read(partial(_next_roots, after))
            yield roots

    def _sweep(self, marks: Seen) -> Generator[None, None, int]:
        dropped, after = 0, b"\0"
        while after:
            keys, after = self._env.read(partial(_next_keys, after))
            dead = marks.missing(keys)
            if dead:
                dropped += self._env.write(partial(_drop, dead))
            yield
        return dropped


def _measure(records: Records) -> tuple[int, int, int, int]:
    """Nodes, nodes that the last cycle left, number of the oldest state, number of the head."""
    head = records.get("headers", records.get("meta", b"head") or b"")
    return (
        records.count("nodes"),
        decode_number(records.get("meta", b"nodes_left")),
        decode_number(records.get("meta", b"oldest_state")),
        decode_header(head).number if head else 0,
    )


def _finish(records: Records) -> None:
    records.put("meta", b"nodes_left", encode_number(records.count("nodes")))
    _end(records)


def _end(records: Records) -> None:
    records.drop("meta", b"pruning")
    records.clear("young")


def _next_roots(first: bytes, records: Records) -> tuple[list[bytes], bytes]:
    """State roots of some blocks from a key of ``heights`` on, and the key to go on from."""
    keys = list(islice(records.scan_keys("heights", first), ROOT_SLICE + 1))
    headers = (records.get("headers", key[8:]) for key in keys[:ROOT_SLICE])
    roots = [decode_header(raw).state_root for raw in headers if raw]
    return roots, keys[ROOT_SLICE] if len(keys) > ROOT_SLICE else b""


def _next_keys(first: bytes, records: Records) -> tuple[list[bytes], bytes]:
    keys = list(islice(records.scan_keys("nodes", first), SWEEP_SLICE + 1))
    return keys[:SWEEP_SLICE], keys[SWEEP_SLICE] if len(keys) > SWEEP_SLICE else b""


def _drop(keys: list[bytes], records: Records) -> int:
    """Delete those that are not young; return how many."""
    dead = [key for key in keys if records.get("young", key) is None]
    for key in dead:
        records.drop("nodes", key)
    return len(dead)
