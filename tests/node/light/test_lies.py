"""Each way in which a feed can lie: it is caught, dropped, and the truth comes from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.light.errors import NoAnswer
from node.light.feeds import FeedState
from node.spec.types import Header
from tests.node.light.network import Network, Twist, ask, hexed, lying
from tests.node.workshop import RICH


def of(wanted: str, change: Callable[[Any], Any]) -> Twist:
    """Twist the results of one method."""
    return lambda method, params, result: change(result) if method == wanted else result


def changed(**fields: Any) -> Callable[[Any], Any]:
    return lambda result: result | fields


def cut(name: str) -> Callable[[Any], Any]:
    return lambda result: result | {name: result[name][:-1]}


def slot(**fields: Any) -> Callable[[Any], Any]:
    def change(result: Any) -> Any:
        return result | {"storageProof": [each | fields for each in result["storageProof"]]}

    return change


def flip(result: Any) -> Any:
    *nodes, last = result["accountProof"]
    digit = "1" if last[9] == "0" else "0"
    return result | {"accountProof": [*nodes, last[:9] + digit + last[10:]]}


STATE_LIES = {
    "a wrong balance": of("eth_getProof", changed(balance="0x1")),
    "a wrong nonce": of("eth_getProof", changed(nonce="0x99")),
    "a wrong code hash": of("eth_getProof", changed(codeHash="0x" + "11" * 32)),
    "a wrong storage root": of("eth_getProof", changed(storageHash="0x" + "11" * 32)),
    "a flipped proof": of("eth_getProof", flip),
    "a truncated proof": of("eth_getProof", cut("accountProof")),
    "an empty proof": of("eth_getProof", changed(accountProof=[])),
    "no proof": of("eth_getProof", lambda result: "nothing here"),
    "words for numbers": of("eth_getProof", changed(balance="much")),
    "a truncated slot": of("eth_getProof", lambda r: slot(proof=[])(r)),
    "other slots": of("eth_getProof", lambda r: r | {"storageProof": r["storageProof"] * 2 + [{}]}),
    "other code": of("eth_getCode", lambda result: "0x6001"),
    "no code": of("eth_getCode", lambda result: 5),
}
BLOCK_LIES = {
    "another block": of("debug_getRawBlock", lambda r: r[:-2] + "c1"),
    "no block": of("debug_getRawBlock", lambda r: "0x00"),
    "fewer receipts": of("debug_getRawReceipts", lambda r: r[:-1]),
    "receipts of other words": of("debug_getRawReceipts", lambda r: ["0x01"]),
    "a truncated transaction": of("ctxc_getTransactionProof", cut("transactionProof")),
    "a truncated receipt": of("ctxc_getTransactionProof", cut("receiptProof")),
    "another place": of("ctxc_getTransactionProof", changed(transactionIndex="0x7")),
}


@pytest.mark.parametrize("name", STATE_LIES)
def test_a_lie_about_the_state_is_caught(settled: Network, contract: bytes, name: str) -> None:
    with (
        lying(settled.a.url, STATE_LIES[name]) as liar,
        settled.light(liar, settled.b.url) as light,
    ):
        light.follower.follow()
        call = {"to": hexed(contract)}
        assert int(ask(light, "eth_call", call), 16) == 9
        balance = ask(light, "eth_getBalance", hexed(RICH))
        assert balance == ask(settled.a.node, "eth_getBalance", hexed(RICH))
        states = [standing.state for standing in light.feeds.standings]
        useless = name in ("no proof",)
        assert states == [FeedState.GOOD if useless else FeedState.DROPPED, FeedState.GOOD]


def test_a_liar_alone_gets_nothing_believed(settled: Network, contract: bytes) -> None:
    with lying(settled.a.url, STATE_LIES["a wrong balance"]) as liar, settled.light(liar) as light:
        light.follower.follow()
        with pytest.raises(NoAnswer, match="its own proof"):
            ask(light, "eth_getBalance", hexed(RICH))
        with pytest.raises(NoAnswer, match="no feed can be asked now"):
            ask(light, "eth_getBalance", hexed(RICH))
        assert light.follower.comparison() == "0 of 1 feeds are at the head"


@pytest.mark.parametrize("name", BLOCK_LIES)
def test_a_lie_about_a_block_is_caught(settled: Network, contract: bytes, name: str) -> None:
    full = settled.a.node
    sent = ask(full, "eth_getBlockByNumber", "0x2")["transactions"][1]
    with (
        lying(settled.a.url, BLOCK_LIES[name]) as liar,
        settled.light(liar, settled.b.url) as light,
    ):
        light.follower.follow()
        shown = ask(light, "eth_getTransactionReceipt", sent)
        assert shown == ask(full, "eth_getTransactionReceipt", sent)
        states = [standing.state for standing in light.feeds.standings]
        assert states == [FeedState.DROPPED, FeedState.GOOD]


def reseal(result: Any, **changes: Any) -> Any:
    """Block 2 with other words in its header."""
    headers = [Header.decode(bytes.fromhex(raw[2:])) for raw in result]
    changed = [replace(h, **changes) if h.number == 2 else h for h in headers]
    return [hexed(header.encode()) for header in changed]


HEADER_LIES = {
    "another chain": of("eth_chainId", lambda result: "0x15"),
    "a header without work": of("debug_getRawHeaders", lambda r: reseal(r, state_root=bytes(32))),
    "an easy header": of("debug_getRawHeaders", lambda r: reseal(r, difficulty=1)),
    "no header": of("debug_getRawHeaders", lambda r: ["0xc0"]),
    "no list of headers": of("debug_getRawHeaders", lambda r: 7),
    "a head that is none": of("eth_getBlockByNumber", lambda r: {"number": "0x0", "hash": 7}),
}


@pytest.mark.parametrize("name", HEADER_LIES)
def test_a_lie_about_headers_is_caught(settled: Network, contract: bytes, name: str) -> None:
    with (
        lying(settled.a.url, HEADER_LIES[name]) as liar,
        settled.light(liar, settled.b.url) as light,
    ):
        light.follower.follow()
        assert light.head() == settled.b.node.head()
        states = [standing.state for standing in light.feeds.standings]
        assert states == [FeedState.DROPPED, FeedState.GOOD]
        assert light.feeds.standings[0].lies == 1


def test_a_withheld_head_is_seen_and_costs_nothing(settled: Network, contract: bytes) -> None:
    """The liar shows an old block as its newest; the other feed shows the chain."""
    old = ask(settled.a.node, "eth_getBlockByNumber", "0x2")

    def withhold(method: str, params: list[Any], result: Any) -> Any:
        is_head = method == "eth_getBlockByNumber" and params[0] == "latest"
        return old if is_head else result

    with lying(settled.a.url, withhold) as liar, settled.light(liar, settled.b.url) as light:
        light.follower.follow()
        assert light.head() == settled.b.node.head()
        first, second = light.feeds.standings
        assert (first.is_behind, second.is_behind) == (True, False)
        assert light.feeds.usable()[0] is second, "who is at the head is asked first"
        assert "1 of 2 feeds are at the head" in light.follower.comparison()


def test_a_head_that_is_never_shown_is_worth_nothing(settled: Network, contract: bytes) -> None:
    """It claims a block that it has no headers for, and is left behind."""

    def boast(method: str, params: list[Any], result: Any) -> Any:
        is_head = method == "eth_getBlockByNumber" and params[0] == "latest"
        return result | {"number": "0x99", "hash": "0x" + "99" * 32} if is_head else result

    with lying(settled.a.url, boast) as liar, settled.light(liar, settled.b.url) as light:
        light.follower.follow()
        light.follower.follow()
        assert "shows no header" in light.feeds.standings[0].reason
        assert light.head() == settled.b.node.head()
        assert ask(light, "eth_syncing") is False
