"""Fork identifiers: at each fork of a list of them, and of our networks today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from node.chains import all_chains
from node.spec.forkid import fork_blocks, fork_id
from node.spec.genesis import genesis_block
from node.spec.trie import MemoryStore


def run(data: Any) -> Iterable[Case]:
    genesis, forks = unhex(data["genesis"]), [integer(block) for block in data["forks"]]
    for index, checksum in enumerate(data.get("crc32_stages", ())):
        yield judge(f"stage {index}", partial(_check_stage, genesis, forks, index, checksum))
    if "current" in data:
        latest = partial(fork_id, genesis, forks, max(forks, default=0))
        yield judge("current", partial(_check, data["current"], latest))
    for name, chain in all_chains().items():
        hashed = genesis_block(chain, MemoryStore()).hash()
        ours = partial(fork_id, hashed, fork_blocks(chain), max(fork_blocks(chain), default=0))
        if name in data:
            yield judge(name, partial(_check, data[name], ours))
        elif hashed == genesis:
            yield judge(f"{name}'s forks", partial(differs, "forks", forks, fork_blocks(chain)))


def _check_stage(genesis: bytes, forks: list[int], stage: int, checksum: str) -> Iterator[str]:
    """At the fork itself, and at the last block before the next one."""
    following = forks[stage] if stage < len(forks) else 0
    first = forks[stage - 1] if stage else 0
    for head in {first, max(following - 1, first)}:
        expected = (unhex(checksum), following)
        yield from differs(f"at block {head}", expected, fork_id(genesis, forks, head))


def _check(expected: dict[str, Any], actual: partial[tuple[bytes, int]]) -> Iterator[str]:
    checksum, following = actual()
    yield from differs("hash", unhex(expected["hash"]), checksum)
    yield from differs("next", integer(expected.get("next", 0)), following)
