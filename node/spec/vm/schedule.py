"""What the forks change in the machine, and the prices that no fork changes.

Sources: cortex-protocol §2 and §4; Ethereum yellow paper, appendix G; EIPs 150, 160, 1108, 1344,
1884, 2028 and 2200.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.spec.chain import Chain, VmParameters

MAX_WORD = 2**256 - 1
STACK_LIMIT = 1024
CALL_DEPTH_LIMIT = 1024
MAX_CODE_BYTES = 24_576

COPY_WORD_GAS = 3
KECCAK_WORD_GAS = 6
EXP_BYTE_GAS = 50
LOG_TOPIC_GAS = 375
LOG_BYTE_GAS = 8
CALL_VALUE_GAS = 9_000
CALL_STIPEND_GAS = 2_300
NEW_ACCOUNT_GAS = 25_000
SELFDESTRUCT_REFUND = 24_000
STORAGE_SET_GAS = 20_000
STORAGE_RESET_GAS = 5_000
STORAGE_CLEAR_REFUND = 15_000

#: Operations of a graph that one unit of gas pays for, and the least price of INFERARRAY.
INFER_OPERATIONS_PER_GAS = 20_000
INFER_ARRAY_GAS = 1_000_000
#: The most that a model's author may ask for an inference.
MODEL_GAS_LIMIT = 20_000
#: A created model asking for more than this gets `MODEL_GAS_LIMIT` instead.
MODEL_GAS_CEILING = 400_000
MAX_MODEL_BYTES = 2**30


@dataclass(frozen=True)
class Schedule:
    """The machine of one network at one block."""

    parameters: VmParameters
    istanbul: bool
    """CHAINID, SELFBALANCE and BLAKE2F exist; prices of EIPs 1108, 1884 and 2200."""

    @property
    def constantinople(self) -> bool:
        """Shifts, EXTCODEHASH and CREATE2 exist."""
        return self.istanbul or self.parameters.constantinople

    @property
    def balance_gas(self) -> int:
        return 700 if self.istanbul else 400

    @property
    def code_hash_gas(self) -> int:
        return 700 if self.istanbul else 400

    @property
    def storage_load_gas(self) -> int:
        return 800 if self.istanbul else 200


def schedule_at(chain: Chain, number: int) -> Schedule:
    """The machine's rules at a block of a network."""
    return Schedule(chain.vm, chain.is_istanbul(number))
