"""The farm's own network: Cortex's rules on graphs of which a CPU core solves about 100 a second.

One in 42 holds a cycle, so a difficulty of 6 to 15 makes blocks of three to six seconds there;
the difficulty finds its own way from where genesis sets it.
"""

from __future__ import annotations

from node.spec.chain import Chain, Genesis, VmParameters

FARMNET = Chain(
    name="farmnet",
    chain_id=20260,
    network_id=20260,
    genesis=Genesis(
        nonce=(20260).to_bytes(8, "big"),
        extra=b"farmnet",
        difficulty=8,
        gas_limit=8_000_000,
        supply=0,
        alloc={},
    ),
    edge_bits=18,
    difficulty_divisor_seconds=3,
    initial_supply_wei=0,
    supply_cap_wei=150_000_000 * 10**18,
    quota_per_block=65_536 * 128,
    mature_blocks=1,
    seeding_blocks=1,
    vm=VmParameters(extended_models=True),
)

CHAINS = {FARMNET.name: FARMNET}
