"""Errors of the node outside consensus (those of consensus are in `node.spec`).

NodeError
├── StoreError              the chain's database cannot be read or written
│   ├── StoreFull           the configured bound is reached
│   ├── ImportLost          the import process ended before a block was in
│   ├── WrongChain          the database belongs to another chain
│   ├── StoreDamaged        the database is not whole
│   └── StatePruned         the state of that block is not kept any more
├── BlockFileError          a file of blocks or of a state cannot be read, written or imported
├── TransactionRefused      the mempool does not take it (``reason`` says why)
├── SubmissionRefused       a miner's solution is not taken (``reason`` says why)
├── ScoreRefused            a score of a model is not kept
├── NoWork                  nothing to mine yet
├── EngineUnavailable       no engine can compute an inference now; whoever needs it waits
│   └── TooLarge            this engine never can; another may
└── ModelFault              the model or its input is wrong, by consensus
"""

from __future__ import annotations

from enum import StrEnum


class NodeError(Exception):
    """The node could not do what was asked."""


class StoreError(NodeError):
    """The chain's database cannot be read or written."""


class StoreFull(StoreError):
    """The database has reached its bound; raise it."""


class ImportLost(StoreError):
    """The import process ended before a block was in; the block may be sent again."""


class WrongChain(StoreError):
    """The database belongs to another chain; give this one a home of its own."""


class StoreDamaged(StoreError):
    """The database is not whole; its blocks can be saved."""


class StatePruned(StoreError):
    """The state of that block is not kept any more."""


class BlockFileError(NodeError):
    """A file of blocks or of a state cannot be read, written or imported."""


class RefusalReason(StrEnum):
    """Why the mempool refuses a transaction."""

    OVERSIZED = "oversized"
    BAD_SIGNATURE = "bad_signature"
    BLOCKED_SENDER = "blocked_sender"
    ALREADY_KNOWN = "already_known"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_TOO_HIGH = "nonce_too_high"
    UNDERPRICED = "underpriced"
    REPLACEMENT_UNDERPRICED = "replacement_underpriced"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INTRINSIC_GAS = "intrinsic_gas"
    GAS_LIMIT = "gas_limit"
    POOL_FULL = "pool_full"


class TransactionRefused(NodeError):
    """The mempool does not take this transaction; nothing was changed."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SubmissionReason(StrEnum):
    """Why a solution is refused."""

    STALE = "stale"
    DUPLICATE = "duplicate"
    LOW_DIFFICULTY = "low_difficulty"
    INVALID = "invalid"


class SubmissionRefused(NodeError):
    """The solution is not taken; nothing was changed."""

    def __init__(self, reason: SubmissionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ScoreRefused(NodeError):
    """The score is not kept."""


class NoWork(NodeError):
    """no mining work available yet"""


class EngineUnavailable(NodeError):
    """No engine can compute this inference now; the block or transaction waits."""


class TooLarge(EngineUnavailable):
    """The input or the result does not go to this engine or back; another one may compute it."""


class ModelFault(NodeError):
    """The model or its input is wrong by consensus, the same on every node.

    ``logic`` tells the kernel's two kinds apart (cortex-protocol §4): True fails the call frame,
    False keeps the transaction out of any block. ``device`` claims it, where it can be said.
    """

    def __init__(self, message: str, *, logic: bool = True, device: str = "") -> None:
        super().__init__(message)
        self.logic, self.device = logic, device
