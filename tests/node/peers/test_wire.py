"""Every message comes back as it was sent, and takes no more memory than its bytes allow."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from benchmarks.peer_fuzz import damage
from node.peers import wire
from node.peers.feed import FeedStatus
from node.spec import rlp
from node.spec.genesis import genesis_block
from node.spec.types import Block
from tests.node.workshop import CHAIN, sign

STATUS = FeedStatus(b"\x07" * 32, 12, 3**90)


class Nowhere:
    def get(self, key: bytes) -> bytes | None:
        return None

    def put(self, key: bytes, value: bytes) -> None: ...


BLOCK = Block(genesis_block(CHAIN, Nowhere()).header, (sign(0), sign(1)))


def test_messages_come_back() -> None:
    hello = wire.Hello(1, 2, 3, b"\x01" * 32, "me", STATUS, b"\x02" * 32)
    assert wire.Hello.decode(hello.encode()) == hello
    assert wire.decode_status(wire.encode_status(STATUS)) == STATUS
    assert wire.decode_range(wire.encode_range(5, 7)) == (5, 7)
    assert wire.decode_range(wire.encode_range(5, 10**6)) == (5, 256)
    hashes = [bytes([n]) * 32 for n in range(3)]
    assert wire.decode_hashes(wire.encode_hashes(hashes), 3) == hashes
    assert wire.decode_new_block(wire.encode_new_block(BLOCK, 9)) == (BLOCK, 9)
    assert wire.decode_headers(rlp.join_list([BLOCK.header.encode()])) == [BLOCK.header]
    body = rlp.join_list(rlp.split_list(BLOCK.encode(), 3)[1:])
    assert wire.decode_bodies(rlp.join_list([body]), [BLOCK.header] * 2) == [BLOCK]


def test_a_strangers_words_cannot_change_the_screen() -> None:
    assert wire.decode_text(wire.encode_text("bye\x1b[2J\n")) == "bye·[2J·"
    assert len(wire.decode_text(wire.encode_text("x" * 5000))) == wire.MAX_TEXT_BYTES


LARGE = (
    wire.decode_headers,
    wire.decode_transactions,
    wire.decode_new_block,
    lambda payload: wire.decode_hashes(payload, wire.MAX_HASHES),
    lambda payload: wire.decode_bodies(payload, [BLOCK.header] * 128),
)
#: Decoded whole: their frames have a thousand bytes at most.
SMALL = (wire.Hello.decode, wire.decode_status, wire.decode_range, wire.decode_text)


@pytest.mark.parametrize(
    "payload",
    [
        rlp.join_list([b"\xc0" * 200_000]),
        rlp.join_list([b"\xc1\xc0" * 100_000]),
        rlp.join_list([rlp.join_list([b"\xc0" * 200_000, b"\xc0"])]),
        rlp.join_list([rlp.join_list([b"\xc0", rlp.join_list([b"\xc0" * 199_999]), b"\xc0"])]),
        rlp.join_list([rlp.join_list([b"\x01"] * 8 + [rlp.join_list([b"\xc0" * 199_999])])]),
    ],
)
def test_a_message_of_many_small_lists_takes_little_memory(payload: bytes) -> None:
    """Decoded whole, an empty list takes sixty-four times its byte."""
    tracemalloc.start()
    for decode in LARGE:
        with pytest.raises(rlp.RlpError):
            decode(payload)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 12 * len(payload)


def test_damaged_messages_raise_nothing_else() -> None:
    chance = random.Random(7)
    proper = (
        wire.Hello(1, 2, 3, b"\x01" * 32, "me", STATUS).encode(),
        wire.encode_new_block(BLOCK, 9),
        rlp.join_list([BLOCK.header.encode()] * 3),
        rlp.join_list([t.encode() for t in BLOCK.transactions]),
        wire.encode_hashes([b"\x01" * 32]),
    )
    refused = 0
    for _ in range(500):
        payload = damage(chance, chance.choice(proper))
        if len(payload) > 5_000:
            continue
        for decode in (*LARGE, *SMALL):
            try:
                decode(payload)
            except rlp.RlpError:
                refused += 1
    assert refused > 1500
