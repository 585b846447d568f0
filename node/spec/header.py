"""Whether a header may follow its parent, and whether a block's uncles are ones
(cortex-protocol §2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.spec.chain import Chain
from node.spec.crypto import EMPTY_UNCLES_HASH
from node.spec.difficulty import next_difficulty
from node.spec.errors import InvalidBlock, InvalidHeader, Reason
from node.spec.gas import is_gas_limit_valid
from node.spec.rewards import highest_supply
from node.spec.seal import is_sealed
from node.spec.types import Block, Header

MAX_EXTRA_BYTES = 32
MAX_UNCLES = 2
#: An uncle's parent is one of this many ancestors, the block's own parent excepted.
UNCLE_GENERATIONS = 7

SealVerifier = Callable[[Chain, Header], bool]


def verify_header(
    chain: Chain,
    header: Header,
    parent: Header,
    now: int | None,
    verify_seal: SealVerifier = is_sealed,
) -> None:
    """Raise `InvalidHeader` unless ``header`` may follow ``parent``.

    ``now`` is the node's clock in seconds; None leaves out the check against the future, as for
    uncles. The seal is checked last, because it costs the most.
    """
    for holds, reason in (
        (header.parent_hash == parent.hash(), Reason.UNKNOWN_PARENT),
        (header.number == parent.number + 1, Reason.BAD_NUMBER),
        (len(header.extra) <= MAX_EXTRA_BYTES, Reason.EXTRA_TOO_LONG),
        (header.timestamp > parent.timestamp, Reason.TIME_NOT_AFTER_PARENT),
        (now is None or header.timestamp <= now + chain.max_future_seconds, Reason.TIME_IN_FUTURE),
        (
            header.difficulty == next_difficulty(chain, header.timestamp, parent),
            Reason.BAD_DIFFICULTY,
        ),
        (is_gas_limit_valid(chain, header, parent), Reason.BAD_GAS_LIMIT),
        (header.gas_used <= header.gas_limit, Reason.BAD_GAS_USED),
        (header.quota == parent.quota + chain.quota_per_block, Reason.BAD_QUOTA),
        (_is_supply_valid(chain, header, parent), Reason.BAD_SUPPLY),
    ):
        if not holds:
            raise InvalidHeader(reason, f"block {header.number}")
    if not verify_seal(chain, header):
        raise InvalidHeader(Reason.BAD_SEAL, f"block {header.number}")


def _is_supply_valid(chain: Chain, header: Header, parent: Header) -> bool:
    has_uncles = header.uncles_hash != EMPTY_UNCLES_HASH
    if not has_uncles and header.hash() in chain.supply_exempt:
        return True
    return header.supply <= highest_supply(chain, header.number, parent.supply, has_uncles)


def verify_uncles(
    chain: Chain,
    block: Block,
    ancestors: Sequence[Block],
    verify_seal: SealVerifier = is_sealed,
) -> None:
    """Raise `InvalidBlock` unless each uncle is recent, new and valid.

    ``ancestors`` are the block's last seven (fewer near genesis), its parent first.
    """
    if len(block.uncles) > MAX_UNCLES:
        raise InvalidBlock(Reason.TOO_MANY_UNCLES)
    line = {a.hash(): a.header for a in ancestors[:UNCLE_GENERATIONS]}
    included = {u.hash() for a in ancestors[:UNCLE_GENERATIONS] for u in a.uncles}
    for uncle in block.uncles:
        if uncle.hash() in included or uncle.hash() == block.hash():
            raise InvalidBlock(Reason.DUPLICATE_UNCLE)
        included.add(uncle.hash())
        if uncle.hash() in line:
            raise InvalidBlock(Reason.UNCLE_IS_ANCESTOR)
        if uncle.parent_hash not in line or uncle.parent_hash == block.header.parent_hash:
            raise InvalidBlock(Reason.DANGLING_UNCLE)
        verify_header(chain, uncle, line[uncle.parent_hash], None, verify_seal)
