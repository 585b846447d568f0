"""The Cortex networks mined by proof of work (cortex-protocol §2)."""

from __future__ import annotations

from node.spec.chain import Chain, Genesis

COIN = 10**18
_FOUNDATION = bytes.fromhex("b84041d064397bd8a1037220d996c16410c20f11")
_INITIAL_SUPPLY_WEI = 149_792_458 * COIN
_EXTRA = b"1722: numero pondere et mensura."


def _genesis(nonce: int, difficulty: int) -> Genesis:
    return Genesis(
        nonce=nonce.to_bytes(8, "big"),
        extra=_EXTRA,
        difficulty=difficulty,
        gas_limit=8_000_000,
        supply=_INITIAL_SUPPLY_WEI,
        alloc={_FOUNDATION: _INITIAL_SUPPLY_WEI},
    )


#: The network's node gives these on whichever of its networks it runs.
_FIXED_RESULTS = {
    bytes.fromhex("53f8e0b0c93dedff2706e28643804470d67d79a9f1447b75dab09304ed8d1fe0"): bytes(
        (19, 52, 238, 252, 208, 237, 223, 227, 243, 91)
    ),
    bytes.fromhex("e0c42bc0779d627e14fba7c4e6f355644aa2535dfe9786d64684fb05f1de615c"): bytes(
        (6, 252, 4, 59, 242, 0, 247, 30, 224, 217)
    ),
}

MAINNET = Chain(
    name="mainnet",
    chain_id=21,
    network_id=21,
    genesis=_genesis(nonce=0x21, difficulty=512),
    istanbul_block=3_230_000,
    neo_block=4_650_000,
    author_paid_on_failure_before=16_000,
    blocked_senders={
        bytes.fromhex("b251ef622230a6572c5d0ef98fdfadaa8af24890"): 3_140_021,
        bytes.fromhex("2f5e73677634eb2dc531785ffc306811525d8c74"): 3_148_935,
    },
    supply_exempt=frozenset(
        {
            bytes.fromhex("367e111f0f274d54f357ed3dc2d16107b39772c3a767138b857f5c02b5c30607"),
            bytes.fromhex("bde83a87b6d526ada5a02e394c5f21327acb080568f7cc6f8fff423620f0eec3"),
        }
    ),
    fixed_results=_FIXED_RESULTS,
    mints={3_230_000: (_FOUNDATION, (20_486_540 + 21_285_544) * COIN)},
)

DOLORES = Chain(
    name="dolores",
    chain_id=43,
    network_id=43,
    genesis=_genesis(nonce=0x43, difficulty=2),
    reward_halving_blocks=1_000_000,
    quota_per_block=65_536 * 128,
    mature_blocks=1,
    fixed_results=_FIXED_RESULTS,
    replaced_models={
        bytes.fromhex("31f75c90e8fe1c5b16cbdc466dc6127487a92add"): bytes.fromhex(
            "c816d85a023abacb687080ca57f580d4999b8b1d"
        ),
    },
)

CHAINS = {chain.name: chain for chain in (MAINNET, DOLORES)}
