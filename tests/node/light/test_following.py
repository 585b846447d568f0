"""Headers are followed to the heaviest branch, checked in full, and kept within bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from farmctl.cycles import verify_cycle
from node.errors import WrongChain
from node.light import feed as feed_module
from node.light import headers as headers_module
from node.light.errors import NoAnswer
from node.light.feeds import FeedState
from node.light.headers import HeaderChain
from node.spec.chain import Chain
from node.spec.errors import InvalidHeader, Reason
from node.spec.genesis import genesis_block
from node.spec.seal import is_sealed
from node.spec.trie import MemoryStore
from node.spec.types import Header
from tests.node.light.network import Network, lacking
from tests.node.workshop import CHAIN, Clock


def verify_seal(chain: Chain, header: Header) -> bool:
    return is_sealed(chain, header, verify_cycle)


def open_headers(path: Path, clock: Clock, kept: int = 50_000) -> HeaderChain:
    root = genesis_block(CHAIN, MemoryStore()).header
    place = path / "headers.db"
    return HeaderChain(CHAIN, place, root.hash(), lambda: root, verify_seal, clock, kept)


@pytest.fixture(scope="module")
def line(settled: Network) -> list[Header]:
    """Twelve headers on genesis."""
    settled.mine(12, shared=False)
    return [settled.a.node.header_at(n) for n in range(1, 13)]  # type: ignore[misc]


def test_the_heaviest_branch_wins_and_the_lighter_one_is_left(network: Network) -> None:
    network.mine(2)
    network.mine(3, at=network.a, shared=False)
    with network.light() as light:
        light.follower.follow()
        assert light.head() == network.a.node.head()
        network.mine(5, at=network.b, shared=False)
        light.follower.follow()
        assert light.head() == network.b.node.head()
        for number in range(8):
            assert light.header_at(number) == network.b.node.header_at(number)
        light.follower.follow()
        assert "1 of 2 feeds are at the head" in light.follower.comparison()
        assert [s.is_behind for s in light.feeds.standings] == [True, False]


def test_headers_outlive_the_process(network: Network) -> None:
    network.mine(3)
    with network.light(name="kept") as light:
        light.follower.follow()
    network.mine()
    with network.light(name="kept") as light:
        assert light.head().number == 3
        light.follower.follow()
        assert light.head().number == 4


def test_a_checkpoint_is_where_it_begins(network: Network) -> None:
    network.mine(5)
    trusted = network.a.node.header_at(3)
    assert trusted is not None
    with network.light(name="kept", checkpoint="0x" + trusted.hash().hex()) as light:
        light.follower.follow()
        assert (light.head(), light.headers.oldest()) == (network.a.node.head(), 3)
        assert light.header_at(2) is None
        assert light.store.total_difficulty(light.head().hash()) is None
    with pytest.raises(WrongChain, match="begin at another block"), network.light(name="kept"):
        pass
    with (
        pytest.raises(NoAnswer, match="checkpoint"),
        network.light(name="other", checkpoint="11" * 32),
    ):
        pass


def test_old_headers_are_forgotten(
    settled: Network, line: list[Header], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers_module, "PRUNE_HEADERS", 2)
    kept = open_headers(tmp_path, settled.clock, kept=5)
    for header in line:
        kept.add([header])
    assert kept.oldest() >= 12 - 5 - 2
    assert kept.head == line[-1] and kept.header(line[0].hash()) is None
    kept.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"solution": tuple(range(42))}, Reason.BAD_SEAL),
        ({"difficulty": 1}, Reason.BAD_DIFFICULTY),
        ({"timestamp": 0}, Reason.TIME_NOT_AFTER_PARENT),
        ({"timestamp": 2**40}, Reason.TIME_IN_FUTURE),
        ({"number": 9}, Reason.BAD_NUMBER),
        ({"parent_hash": bytes(32)}, Reason.UNKNOWN_PARENT),
        ({"state_root": bytes(32)}, Reason.BAD_SEAL),
        ({"quota": 1}, Reason.BAD_QUOTA),
    ],
)
def test_an_invalid_header_is_not_kept_nor_what_follows(
    settled: Network,
    line: list[Header],
    tmp_path: Path,
    changes: dict[str, object],
    reason: Reason,
) -> None:
    kept = open_headers(tmp_path, settled.clock)
    broken = [*line[:4], replace(line[4], **changes), *line[5:]]  # type: ignore[arg-type]
    with pytest.raises(InvalidHeader) as caught:
        kept.add(broken)
    assert caught.value.reason is reason
    assert kept.head == line[3]
    assert kept.add(line) == 8 and kept.head == line[-1]
    assert kept.total_difficulty(line[-1].hash()) == sum(h.difficulty for h in line) + 2
    kept.close()


def test_a_light_branch_without_end_is_dropped(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers_module, "MAX_SIDE_HEADERS", 4)
    network.mine(8, at=network.b, shared=False)
    network.mine(5, at=network.a, shared=False)
    with network.light(network.b.url, network.a.url) as light:
        light.follower.follow()
        good, endless = light.feeds.standings
        assert (good.state, endless.state) == (FeedState.GOOD, FeedState.DROPPED)
        assert "weighs less" in endless.reason
        assert light.head() == network.b.node.head()
        assert light.headers.header(network.a.node.head().hash()) is None


def test_one_feed_alone_and_none_say_so(network: Network) -> None:
    with network.light(network.a.url) as light:
        light.follower.follow()
        assert "one feed alone" in light.follower.comparison()
    with network.light("http://127.0.0.1:9", name="deaf") as light:
        light.follower.follow()
        (standing,) = light.feeds.standings
        assert standing.state is FeedState.LOST and "does not answer" in standing.reason
        with pytest.raises(NoAnswer, match="no feed can be asked now"):
            light.state_at(light.head()).get_balance(bytes(20))


@pytest.mark.parametrize("known", [(), ("debug_getRawHeader",)])
def test_feeds_of_fewer_methods_are_followed_too(network: Network, known: tuple[str, ...]) -> None:
    """Old nodes show headers one by one, or as blocks alone."""
    network.mine(3)
    unknown = {"debug_getRawHeaders", "debug_getRawHeader"} - set(known)
    with lacking(network.a.url, unknown) as url, network.light(url) as light:
        light.follower.follow()
        assert light.head() == network.a.node.head()
        assert light.feeds.standings[0].state is FeedState.GOOD


@pytest.mark.parametrize(("times", "reason"), [(3, ""), (99, "too much to do")])
def test_a_busy_feed_is_waited_for(
    network: Network, monkeypatch: pytest.MonkeyPatch, times: int, reason: str
) -> None:
    monkeypatch.setattr(feed_module, "BUSY_SECONDS", 0.001)
    network.mine(2)
    busy = lacking(network.a.url, {"eth_chainId"}, code=-32005, times=times)
    with busy as url, network.light(url) as light:
        light.follower.follow()
        assert light.head().number == (0 if reason else 2)
        assert reason in light.feeds.standings[0].reason
