"""Grin's graphs at full size, and the weight of their proofs."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from node.chains import all_chains, all_coins, find_mined
from node.chains.grin import GRIN, GRIN_CUCKATOO31, YEAR_BLOCKS, proof_of_work
from node.spec.cuckoo import Cycle, Verdict, verify
from node.spec.pow import pack_edges
from tests.support.grin_vectors import CUCKAROO19, CUCKATOO, HEADER


@pytest.mark.parametrize(("bits", "nonce", "edges"), CUCKATOO)
def test_the_published_proofs_of_cuckatoo_hold(
    bits: int, nonce: int, edges: tuple[int, ...]
) -> None:
    header = HEADER + struct.pack("<I", nonce)
    assert verify(header, edges, bits, (2, 4), cycle=Cycle.CUCKATOO) is Verdict.OK
    assert verify(header, edges, bits, (2, 4), cycle=Cycle.CUCKAROO) is not Verdict.OK
    assert verify(header, edges, bits, (4, 8), cycle=Cycle.CUCKATOO) is not Verdict.OK
    moved = (*edges[:-1], edges[-1] + 1)
    assert verify(header, moved, bits, (2, 4), cycle=Cycle.CUCKATOO) is Verdict.NON_MATCHING


@pytest.mark.parametrize(("nonce", "keys", "edges"), CUCKAROO19)
def test_the_published_proofs_of_cuckaroo_hold(
    nonce: int, keys: tuple[int, ...], edges: tuple[int, ...]
) -> None:
    header = HEADER + struct.pack("<I", nonce)
    assert verify(header, edges, 19, (2, 4)) is Verdict.OK
    assert verify(header, edges, 19, (2, 4), cycle=Cycle.CUCKATOO) is not Verdict.OK


def test_edges_are_packed_without_gaps() -> None:
    assert pack_edges((0b101, 0b011, 0b110), 3) == bytes((0b10011101, 0b1))
    assert len(pack_edges(CUCKATOO[1][2], 31)) == (31 * 42 + 7) // 8


def test_the_nonce_follows_the_header_in_its_order() -> None:
    pow = proof_of_work(31)
    assert pow.graph_header(b"\7", 1) == b"\7" + bytes(7) + b"\1"
    assert replace(pow, nonce_order="little").graph_header(b"\7", 1) == b"\7\1" + bytes(7)


def test_a_target_is_the_same_as_its_difficulty() -> None:
    """Digests around the target have difficulties on either side."""
    coin, edges = GRIN, CUCKATOO[1][2]
    difficulty = coin.difficulty(edges, 0)
    digest = coin.pow.digest(edges)
    assert digest <= coin.target(difficulty, 0)
    assert digest > coin.target(difficulty + 1, 0)
    assert coin.target(1, 0) == 2**256 - 1


def test_graphs_of_31_bits_fade_at_grin() -> None:
    full = 256 * 31
    weights = [GRIN_CUCKATOO31.weight(YEAR_BLOCKS + week * 7 * 24 * 60) for week in (-1, 0, 1, 30)]
    assert weights == [full, full - 256, full - 512, 0]
    assert GRIN.weight(10**7) == 512 * 32
    with pytest.raises(ValueError, match="weight of 0"):
        GRIN_CUCKATOO31.target(1, 10**7)
    assert find_mined("cuckatoo31").pow.edge_bits == 31


def test_names_tell_networks_and_coins_apart() -> None:
    assert not all_chains().keys() & all_coins().keys()
    assert find_mined("mainnet").pow == all_chains()["mainnet"].pow
    with pytest.raises(KeyError, match="grin"):
        find_mined("doge")
