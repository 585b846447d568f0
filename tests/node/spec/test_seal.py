"""The seal of a real block, and what becomes of it after any change."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import pytest

from node.chains import find_chain
from node.spec import cuckoo
from node.spec.seal import is_sealed, meets_target
from node.spec.types import SEALED_FIELDS, Block, Header

HASH = "43992e4d77ab8dbdeab1a97eb492bb0515b46a1ef6e91e9d73dc3ed914fdcca2"
MAINNET = find_chain("mainnet")
SEALED = [field.name for field in fields(Header)][:SEALED_FIELDS]
INTEGERS = {"difficulty", "number", "gas_limit", "gas_used", "timestamp"}


def flip(header: Header, name: str, bit: int) -> Header:
    """The header with one bit of a field changed; bit 0 is the lowest."""
    value = getattr(header, name)
    if isinstance(value, int):
        return replace(header, **{name: value ^ 1 << bit})
    number = int.from_bytes(value, "big") ^ 1 << bit
    return replace(header, **{name: number.to_bytes(len(value), "big")})


def width(header: Header, name: str) -> int:
    value = getattr(header, name)
    return max(value.bit_length(), 8) if isinstance(value, int) else 8 * len(value)


def test_the_real_block_is_accepted(mainnet_block: Block) -> None:
    header = mainnet_block.header
    assert header.number == 6_839_772
    assert header.hash().hex() == HASH
    assert is_sealed(MAINNET, header)


@pytest.mark.parametrize("name", SEALED)
def test_a_changed_bit_of_a_sealed_field_breaks_the_seal(mainnet_block: Block, name: str) -> None:
    """The lowest, the highest and two bits between; all of them in the slow test below."""
    header = mainnet_block.header
    size = width(header, name)
    for bit in {0, size // 3, size // 2 + 1, size - 1}:
        changed = flip(header, name, bit)
        assert changed.hash() != header.hash()
        assert not is_sealed(MAINNET, changed), (name, bit)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEALED)
def test_each_changed_bit_of_a_sealed_field_breaks_the_seal(
    mainnet_block: Block, name: str
) -> None:
    header = mainnet_block.header
    for bit in range(width(header, name)):
        assert not is_sealed(MAINNET, flip(header, name, bit)), (name, bit)


def test_each_changed_bit_of_the_nonce_breaks_the_seal(mainnet_block: Block) -> None:
    for bit in range(64):
        assert not is_sealed(MAINNET, flip(mainnet_block.header, "nonce", bit)), bit


def test_each_changed_bit_of_the_solution_breaks_the_seal(mainnet_block: Block) -> None:
    header = mainnet_block.header
    for index, edge in enumerate(header.solution):
        for bit in range(32):
            edges = (*header.solution[:index], edge ^ 1 << bit, *header.solution[index + 1 :])
            assert not is_sealed(MAINNET, replace(header, solution=edges)), (index, bit)


@pytest.mark.parametrize("name", ["quota", "quota_used", "supply", "mix_hash"])
def test_what_is_not_sealed_changes_the_hash_alone(mainnet_block: Block, name: str) -> None:
    changed = flip(mainnet_block.header, name, 0)
    assert changed.hash() != mainnet_block.hash()
    assert is_sealed(MAINNET, changed)


def test_a_harder_target_refuses_the_same_solution(mainnet_block: Block) -> None:
    header = mainnet_block.header
    digest = int.from_bytes(cuckoo.solution_hash(header.solution), "big")
    hardest = (1 << 256) // digest
    assert meets_target(header.solution, hardest)
    assert not meets_target(header.solution, hardest + 1)
    assert not meets_target(header.solution, 0)


def test_the_verifier_may_be_another(mainnet_block: Block) -> None:
    asked: list[tuple[int, tuple[int, int]]] = []

    def refuse(graph: bytes, edges: object, edge_bits: int, rounds: tuple[int, int]) -> bool:
        assert graph == cuckoo.graph_header(
            mainnet_block.header.seal_hash(), mainnet_block.header.nonce_int()
        )
        asked.append((edge_bits, rounds))
        return False

    assert not is_sealed(MAINNET, mainnet_block.header, refuse)
    assert asked == [(30, (4, 8))]


def _find_cycle(header: bytes, edge_bits: int, length: int) -> tuple[int, ...] | None:
    """A cycle of the graph by brute force: follow every path from every edge."""
    words = cuckoo.edge_words(cuckoo.siphash_keys(header), range(1 << edge_bits))
    us, vs = cuckoo.endpoints(words, edge_bits)
    at: dict[tuple[int, int], list[int]] = {}
    for edge, (u, v) in enumerate(zip(us, vs, strict=True)):
        at.setdefault((0, u), []).append(edge)
        at.setdefault((1, v), []).append(edge)

    def extend(path: list[int], nodes: list[tuple[int, int]]) -> list[int] | None:
        if len(path) == length:
            return path if nodes[-1] == nodes[0] else None
        if nodes[-1] in nodes[:-1]:
            return None
        for edge in at[nodes[-1]]:
            if edge > path[0] and edge not in path:
                other = (1, vs[edge]) if nodes[-1][0] == 0 else (0, us[edge])
                found = extend([*path, edge], [*nodes, other])
                if found:
                    return found
        return None

    for edge in range(1 << edge_bits):
        found = extend([edge], [(0, us[edge]), (1, vs[edge])])
        if found:
            return tuple(sorted(found))
    return None


@pytest.mark.parametrize("length", [2, 4])
def test_other_graphs_and_lengths(length: int) -> None:
    """Cycles found without the verifier pass it, and no other graph's do."""
    checked = 0
    for nonce in range(25):
        header = cuckoo.graph_header(bytes(32), nonce)
        edges = _find_cycle(header, 7, length)
        if edges is None:
            continue
        checked += 1
        verify = {"edge_bits": 7, "proof_size": length}
        assert cuckoo.verify(header, edges, **verify) is cuckoo.Verdict.OK  # type: ignore[arg-type]
        other = cuckoo.verify(header, edges, rounds=(2, 4), **verify)  # type: ignore[arg-type]
        assert other is not cuckoo.Verdict.OK
        assert all(a < b for a, b in pairwise(edges))
    assert checked >= 3


def test_malformed_proofs_have_their_verdicts() -> None:
    header = cuckoo.graph_header(bytes(32), 1)
    assert cuckoo.verify(header, range(41)) is cuckoo.Verdict.WRONG_LENGTH
    assert cuckoo.verify(header, [*range(41), 1 << 30]) is cuckoo.Verdict.TOO_BIG
    assert cuckoo.verify(header, [1, 0, *range(2, 42)]) is cuckoo.Verdict.TOO_SMALL
    assert cuckoo.verify(header, range(42)) is cuckoo.Verdict.NON_MATCHING


def test_solutions_travel_as_big_endian_words() -> None:
    edges = tuple(range(42))
    assert cuckoo.solution_edges(cuckoo.solution_bytes(edges)) == edges
    assert len(cuckoo.solution_bytes(edges)) == 168
    with pytest.raises(ValueError, match="4 bytes"):
        cuckoo.solution_edges(bytes(167))
