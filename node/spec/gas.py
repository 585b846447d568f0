"""Gas that is known before execution: of a block by its parent, of a transaction by its form."""

from __future__ import annotations

from node.spec.chain import Chain
from node.spec.types import Header

TRANSACTION_GAS = 21_000
CREATION_GAS = 53_000
UPLOAD_GAS = 277_777
ZERO_BYTE_GAS = 4
DATA_BYTE_GAS = 68
DATA_BYTE_GAS_ISTANBUL = 16

#: A block's limit moves by less than one part in this many.
LIMIT_DIVISOR = 1024


def next_gas_limit(chain: Chain, parent_gas_limit: int, parent_gas_used: int) -> int:
    """The one gas limit that a block may have after its parent."""
    decay = parent_gas_limit // LIMIT_DIVISOR - 1
    growth = (parent_gas_used + parent_gas_used // 2) // LIMIT_DIVISOR
    limit = max(parent_gas_limit - decay + growth, chain.gas_limit_floor)
    if limit > chain.gas_limit_cap:
        return max(parent_gas_limit - decay, chain.gas_limit_cap)
    return limit


def is_gas_limit_valid(chain: Chain, header: Header, parent: Header) -> bool:
    limit = next_gas_limit(chain, parent.gas_limit, parent.gas_used)
    step = abs(header.gas_limit - parent.gas_limit)
    return header.gas_limit == limit and step < parent.gas_limit // LIMIT_DIVISOR


def intrinsic_gas(data: bytes, creates: bool, uploads: bool, istanbul: bool) -> int:
    """What a transaction costs before anything is executed.

    ``uploads``: it moves a model's or an input's upload on (cortex-protocol §4).
    """
    zeros = data.count(0)
    byte_gas = DATA_BYTE_GAS_ISTANBUL if istanbul else DATA_BYTE_GAS
    gas = CREATION_GAS if creates else UPLOAD_GAS if uploads else TRANSACTION_GAS
    return gas + zeros * ZERO_BYTE_GAS + (len(data) - zeros) * byte_gas
