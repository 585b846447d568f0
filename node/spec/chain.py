"""A network's parameters. Networks differ in these and in nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.spec.pow import ProofOfWork


@dataclass(frozen=True)
class Rules:
    """The forks in force at a block."""

    istanbul: bool
    neo: bool


@dataclass(frozen=True)
class Genesis:
    """Block 0. Amounts in wei; addresses of 20 bytes; ``nonce`` of 8."""

    nonce: bytes
    extra: bytes
    difficulty: int
    gas_limit: int
    supply: int
    alloc: Mapping[bytes, int]
    timestamp: int = 0
    quota: int = 0
    coinbase: bytes = bytes(20)


@dataclass(frozen=True)
class VmParameters:
    """Where a network's virtual machine departs from Ethereum's; the defaults are Cortex's."""

    inference: bool = True
    """INFER, INFERARRAY, metadata contracts and the plain-code prefix exist."""
    code_deposit_gas: int = 20
    """Gas for each byte of a new contract's code."""
    self_balance_gas: int = 3
    constantinople: bool = False
    """Shifts, EXTCODEHASH and CREATE2 exist before Istanbul already."""
    extended_models: bool = False
    """Models may have the extension form (docs/operators.md)."""


@dataclass(frozen=True, eq=False)
class Chain:
    """A network. Sources: cortex-protocol §1 and §2; defaults are Cortex mainnet's."""

    name: str
    chain_id: int
    network_id: int
    genesis: Genesis
    edge_bits: int = 30
    proof_size: int = 42
    rounds: tuple[int, int] = (4, 8)
    """Siphash rounds: compression, finalisation."""
    istanbul_block: int = 0
    neo_block: int = 0
    difficulty_divisor_seconds: int = 9
    max_future_seconds: int = 15
    reward_wei: int = 7 * 10**18
    reward_halving_blocks: int = 8_409_600
    initial_supply_wei: int = 149_792_458 * 10**18
    supply_cap_wei: int = 299_792_458 * 10**18
    quota_per_block: int = 65_536
    """Bytes that each block adds to what may be uploaded."""
    mature_blocks: int = 100
    """Blocks between the end of an upload and the first INFER of it."""
    seeding_blocks: int = 6
    """Blocks between the creation of a meta contract and its first upload transaction."""
    gas_limit_floor: int = 8_000_000
    gas_limit_cap: int = 160_000_000
    author_paid_on_failure_before: int = 0
    """Below this block a model's author is paid even where the call ran out of gas."""
    blocked_senders: Mapping[bytes, int] = field(default_factory=dict)
    """Address to the first block in which it may send no transaction."""
    supply_exempt: frozenset[bytes] = frozenset()
    """Hashes of blocks whose supply field is not bounded."""
    mints: Mapping[int, tuple[bytes, int]] = field(default_factory=dict)
    """Block number to an account and the wei it is given, outside the supply."""
    fixed_results: Mapping[bytes, bytes] = field(default_factory=dict)
    """Key of an inference (cortex-protocol §4) to the result that history made binding."""

    replaced_models: Mapping[bytes, bytes] = field(default_factory=dict)
    """Infohash of a model to the one that is run in its place."""

    checkpoints: Mapping[int, bytes] = field(default_factory=dict)
    """Block number to the hash that its block has; branches without it are refused."""

    vm: VmParameters = field(default_factory=VmParameters)

    @property
    def pow(self) -> ProofOfWork:
        """What a miner searches."""
        return ProofOfWork(self.edge_bits, self.rounds, proof_size=self.proof_size)

    def is_istanbul(self, number: int) -> bool:
        return number >= self.istanbul_block

    def is_neo(self, number: int) -> bool:
        return number >= self.neo_block

    def rules(self, number: int) -> Rules:
        return Rules(istanbul=self.is_istanbul(number), neo=self.is_neo(number))
