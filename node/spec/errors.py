"""Why consensus refuses something.

SpecError
├── InvalidTransaction   can be in no block on this state
└── InvalidBlock         breaks a rule; whoever sent it is wrong
    └── InvalidHeader    already its header does

Both carry a ``reason`` shared with the tests. An inference engine that fails is none of these:
`node.spec.vm` lets its ``InferRuntimeError`` pass, and the block is judged later.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What was wrong."""

    MALFORMED = "malformed"
    # transactions
    BAD_SIGNATURE = "bad_signature"
    WRONG_CHAIN = "wrong_chain"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_TOO_HIGH = "nonce_too_high"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    INTRINSIC_GAS = "intrinsic_gas"
    GAS_LIMIT_REACHED = "gas_limit_reached"
    QUOTA_REACHED = "quota_reached"
    NOT_UPLOADABLE = "not_uploadable"
    AUTHOR_GAS = "author_gas"
    NOT_SEEDED = "not_seeded"
    BLOCKED_SENDER = "blocked_sender"
    # headers
    UNKNOWN_PARENT = "unknown_parent"
    BAD_NUMBER = "bad_number"
    EXTRA_TOO_LONG = "extra_too_long"
    TIME_NOT_AFTER_PARENT = "time_not_after_parent"
    TIME_IN_FUTURE = "time_in_future"
    BAD_DIFFICULTY = "bad_difficulty"
    BAD_GAS_LIMIT = "bad_gas_limit"
    BAD_GAS_USED = "bad_gas_used"
    BAD_QUOTA = "bad_quota"
    BAD_SUPPLY = "bad_supply"
    BAD_SEAL = "bad_seal"
    # places on the chain
    BAD_ANCESTOR = "bad_ancestor"
    CONTRADICTS_CHECKPOINT = "contradicts_checkpoint"
    BRANCH_TOO_DEEP = "branch_too_deep"
    """It may be valid, but leaves the chain below what this node can undo."""
    # blocks
    BAD_UNCLES_HASH = "bad_uncles_hash"
    TOO_MANY_UNCLES = "too_many_uncles"
    DUPLICATE_UNCLE = "duplicate_uncle"
    UNCLE_IS_ANCESTOR = "uncle_is_ancestor"
    DANGLING_UNCLE = "dangling_uncle"
    BAD_TRANSACTIONS_ROOT = "bad_transactions_root"
    BAD_RECEIPTS_ROOT = "bad_receipts_root"
    BAD_BLOOM = "bad_bloom"
    BAD_STATE_ROOT = "bad_state_root"


class SpecError(Exception):
    """Something breaks the rules; ``reason`` says which."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason


class InvalidTransaction(SpecError):
    """The transaction can be in no block on this state."""


class InvalidBlock(SpecError):
    """The block breaks a rule."""


class InvalidHeader(InvalidBlock):
    """The header alone breaks a rule."""
