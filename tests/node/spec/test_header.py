"""Headers and uncles: accepted as they are, refused after each change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.chains import find_chain
from node.spec.chain import Chain
from node.spec.difficulty import next_difficulty
from node.spec.errors import InvalidBlock, InvalidHeader, Reason
from node.spec.gas import next_gas_limit
from node.spec.header import verify_header, verify_uncles
from node.spec.types import Block, Header
from tests.node.spec.growing import Farm

NOW = 1_000_000


def sealed(chain: Chain, header: Header) -> bool:
    """Seals have tests of their own."""
    return True


def refuse(farm: Farm, header: Header, now: int | None = NOW) -> Reason:
    with pytest.raises(InvalidHeader) as refused:
        verify_header(farm.chain, header, farm.head, now, sealed)
    return refused.value.reason


def test_the_next_header_is_accepted(farm: Farm) -> None:
    verify_header(farm.chain, farm.build().header, farm.head, NOW, sealed)
    farm.add()
    verify_header(farm.chain, farm.build().header, farm.head, NOW, sealed)


@pytest.mark.parametrize(
    ("field", "change", "reason"),
    [
        ("parent_hash", lambda value: bytes(32), Reason.UNKNOWN_PARENT),
        ("number", lambda value: value + 1, Reason.BAD_NUMBER),
        ("extra", lambda value: bytes(33), Reason.EXTRA_TOO_LONG),
        ("timestamp", lambda value: 1_003, Reason.TIME_NOT_AFTER_PARENT),
        ("timestamp", lambda value: NOW + 16, Reason.TIME_IN_FUTURE),
        ("difficulty", lambda value: value + 1, Reason.BAD_DIFFICULTY),
        ("gas_limit", lambda value: value + 1, Reason.BAD_GAS_LIMIT),
        ("gas_used", lambda value: 8_000_001, Reason.BAD_GAS_USED),
        ("quota", lambda value: value + 1, Reason.BAD_QUOTA),
        ("supply", lambda value: value + 1, Reason.BAD_SUPPLY),
    ],
)
def test_refusals(farm: Farm, field: str, change: object, reason: Reason) -> None:
    farm.add()
    header = farm.build().header
    value = change(getattr(header, field))  # type: ignore[operator]
    assert refuse(farm, replace(header, **{field: value})) is reason


def test_the_seal_is_judged_last_and_by_whom_is_told(farm: Farm) -> None:
    with pytest.raises(InvalidHeader) as refused:
        verify_header(farm.chain, farm.build().header, farm.head, NOW)
    assert refused.value.reason is Reason.BAD_SEAL


def test_without_a_clock_the_future_is_not_judged(farm: Farm) -> None:
    header = farm.build().header
    assert refuse(farm, header, now=header.timestamp - 16) is Reason.TIME_IN_FUTURE
    verify_header(farm.chain, header, farm.head, None, sealed)


def test_supply_may_be_less_and_some_blocks_are_exempt(farm: Farm) -> None:
    header = farm.build().header
    verify_header(farm.chain, replace(header, supply=0), farm.head, NOW, sealed)
    more = replace(header, supply=header.supply + 10**19)
    assert refuse(farm, more) is Reason.BAD_SUPPLY
    farm.chain = replace(farm.chain, supply_exempt=frozenset({more.hash()}))
    verify_header(farm.chain, more, farm.head, NOW, sealed)


@pytest.mark.parametrize(
    ("difficulty", "seconds", "neo", "expected"),
    [
        (2, 100, True, 2),
        (10, 0, True, 12),
        (10, 9, True, 10),
        (10, 18, True, 8),
        (100, 1, False, 150),
        (100, 20, False, 50),
        (1_024, 1, True, 1_025),
        (2_048, 1, True, 2_049),
        (2_048_000, 9 * 200, True, 2_048_000 - 99_000),
    ],
)
def test_difficulty(farm: Farm, difficulty: int, seconds: int, neo: bool, expected: int) -> None:
    chain = find_chain("mainnet")
    number = chain.neo_block if neo else 1
    parent = replace(farm.head, difficulty=difficulty, timestamp=1_000, number=number)
    assert next_difficulty(chain, 1_000 + seconds, parent) == expected


def test_difficulty_stands_still_after_a_genesis_without_time(farm: Farm) -> None:
    assert next_difficulty(farm.chain, 10**9, farm.head) == farm.head.difficulty


def test_the_gas_limit_follows_use_between_its_bounds() -> None:
    chain = find_chain("mainnet")
    assert next_gas_limit(chain, 8_000_000, 0) == 8_000_000
    assert next_gas_limit(chain, 8_000_000, 8_000_000) > 8_000_000
    assert next_gas_limit(chain, 160_000_000, 160_000_000) == 160_000_000


@pytest.fixture
def family(farm: Farm) -> tuple[Farm, Header]:
    """A chain of four blocks, and a header that lost against its second."""
    farm.add()
    uncle = replace(farm.build().header, extra=b"late")
    for _ in range(3):
        farm.add()
    return farm, uncle


def judge_uncles(farm: Farm, *uncles: Header) -> None:
    block = Block(farm.build(uncles=uncles[:2]).header, (), uncles)
    verify_uncles(farm.chain, block, farm.blocks[:0:-1] + farm.blocks[:1], sealed)


def test_an_uncle_is_accepted_once(family: tuple[Farm, Header]) -> None:
    farm, uncle = family
    judge_uncles(farm, uncle)
    farm.blocks.append(farm.build(uncles=(uncle,)))
    with pytest.raises(InvalidBlock) as refused:
        judge_uncles(farm, uncle)
    assert refused.value.reason is Reason.DUPLICATE_UNCLE


def test_false_uncles_are_refused(family: tuple[Farm, Header]) -> None:
    farm, uncle = family
    ancestor = farm.blocks[2].header
    sibling = replace(farm.build().header, extra=b"sibling")
    stranger = replace(uncle, parent_hash=b"\1" * 32)
    wrong = replace(uncle, difficulty=uncle.difficulty + 1)
    for uncles, reason in (
        ((uncle, uncle), Reason.DUPLICATE_UNCLE),
        ((uncle, replace(uncle, extra=b"2"), replace(uncle, extra=b"3")), Reason.TOO_MANY_UNCLES),
        ((ancestor,), Reason.UNCLE_IS_ANCESTOR),
        ((sibling,), Reason.DANGLING_UNCLE),
        ((stranger,), Reason.DANGLING_UNCLE),
        ((wrong,), Reason.BAD_DIFFICULTY),
    ):
        with pytest.raises(InvalidBlock) as refused:
            judge_uncles(farm, *uncles)
        assert refused.value.reason is reason


def test_an_uncles_parent_is_among_the_last_seven(family: tuple[Farm, Header]) -> None:
    farm, uncle = family
    while farm.head.number < uncle.number + 5:
        farm.add()
    judge_uncles(farm, uncle)
    farm.add()
    with pytest.raises(InvalidBlock) as refused:
        judge_uncles(farm, uncle)
    assert refused.value.reason is Reason.DANGLING_UNCLE
