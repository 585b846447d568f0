"""Peers that break the protocol or ask too much: cut off, and the node goes on."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from node.peers.door import dial
from node.peers.errors import FeedUnavailable, PeerRefused
from node.peers.feed import FeedStatus
from node.peers.handshake import Terms, greet_listener
from node.peers.identity import Identity
from node.peers.wire import LIMITS, PREFIX, Kind, encode_status
from node.spec import rlp
from tests.node.peers.network import QUICK, Member, until
from tests.node.peers.villain import knock, last_words
from tests.node.workshop import CHAIN, RICH_KEY, Clock, sign

KEY = secrets.token_bytes(32)


def list_of(count: int, item: bytes) -> bytes:
    return rlp.join_list([item] * count)


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        (99, b"", "unknown kind"),
        (Kind.HEADERS, b"\xc0", "not asked for"),
        (Kind.HELLO, b"\xc0", "greets twice"),
        (Kind.NEW_HEAD, b"\xff\xff", "cannot be read"),
        (Kind.GET_BODIES, list_of(257, b"\x01"), "cannot be read"),
        (Kind.TRANSACTIONS, list_of(257, b"\x01"), "cannot be read"),
        (Kind.TRANSACTIONS, rlp.join_list([b"\xc0" * 9]), "cannot be read"),
        (Kind.NEW_BLOCK, b"\xc1" * 4000, "cannot be read"),
    ],
)
async def test_a_message_that_no_honest_node_sends_ends_it(
    tmp_path: Path, clock: Clock, kind: int, payload: bytes, reason: str
) -> None:
    async with Member(tmp_path / "victim", clock) as victim, knock(tmp_path, victim) as link:
        link.send(kind, payload)  # type: ignore[arg-type]
        assert reason in await last_words(link)
        assert victim.peers.roster.scores.ban_seconds("127.0.0.1") > 0


async def test_a_huge_message_is_refused_before_it_is_read(tmp_path: Path, clock: Clock) -> None:
    async with Member(tmp_path / "victim", clock) as victim, knock(tmp_path, victim) as link:
        link.send_raw(PREFIX.pack(0xFFFFFFFF, Kind.NEW_BLOCK, 0))
        assert f"{LIMITS[Kind.NEW_BLOCK]} are the most" in await last_words(link)


async def test_those_who_dawdle_are_cut_off_and_others_served(tmp_path: Path, clock: Clock) -> None:
    """At each stage: before TLS, before the greeting, within a frame."""
    async with Member(tmp_path / "victim", clock) as victim:
        address = ("127.0.0.1", victim.peers.port)
        plain = [await asyncio.open_connection(*address) for _ in range(3)]
        context = Identity(tmp_path / "x.pem").client_context
        silent = [await asyncio.open_connection(*address, ssl=context) for _ in range(2)]
        async with knock(tmp_path, victim) as slow:
            await until(lambda: len(victim.peers.roster.sessions) == 1, "it is greeted")
            slow.send_raw(PREFIX.pack(1000, Kind.NEW_BLOCK, 0) + b"\xf9")
            async with Member(tmp_path / "honest", clock, [victim.url]) as honest:
                await victim.mine()
                await until(lambda: honest.node.head().number == 1, "the honest peer is served")
                await until(lambda: len(victim.peers.roster.sessions) == 1, "the slow one is cut")
            async with asyncio.timeout(3 * QUICK.handshake_seconds):
                for reader, _ in plain:
                    assert await reader.read() == b""
                for reader, _ in silent:
                    while await reader.read(4096):
                        pass


async def test_no_more_connections_than_allowed(tmp_path: Path, clock: Clock) -> None:
    limits = replace(QUICK, from_one_address=3)
    async with Member(tmp_path / "victim", clock, limits=limits) as victim:
        address = ("127.0.0.1", victim.peers.port)
        held = [await asyncio.open_connection(*address) for _ in range(3)]
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        for _, other in [*held, (reader, writer)]:
            other.close()


async def test_a_flood_of_transactions_ends_in_a_ban(tmp_path: Path, clock: Clock) -> None:
    limits = replace(QUICK, transactions_per_second=1.0, transaction_burst=64.0)
    async with (
        Member(tmp_path / "victim", clock, limits=limits) as victim,
        knock(tmp_path, victim) as link,
    ):
        flood = [sign(n, key=KEY).encode() for n in range(32)]  # of an account without coins
        for _ in range(40):
            link.send(Kind.TRANSACTIONS, rlp.join_list(flood))
        assert "too fast" in await last_words(link)
        assert len(victim.node.mempool) == 0


async def test_a_transaction_with_a_broken_signature_ends_it(tmp_path: Path, clock: Clock) -> None:
    async with Member(tmp_path / "victim", clock) as victim, knock(tmp_path, victim) as link:
        broken = replace(sign(0, key=RICH_KEY), s=0)
        link.send(Kind.TRANSACTIONS, rlp.join_list([broken.encode()]))
        assert "invalid transaction" in await last_words(link)


async def test_claims_of_heads_that_nobody_has_cost_points(tmp_path: Path, clock: Clock) -> None:
    """Announced again and again, each a reason to ask for headers that do not come."""
    limits = replace(QUICK, request_seconds=0.05, round_seconds=0.02, idle_seconds=30.0)
    async with (
        Member(tmp_path / "victim", clock, limits=limits) as victim,
        knock(tmp_path, victim) as link,
    ):
        sessions = victim.peers.roster.sessions
        await until(lambda: sessions, "it is greeted")
        (session,) = sessions.values()
        for number in range(1, 20):
            link.send(Kind.NEW_HEAD, encode_status(FeedStatus(bytes([number]) * 32, number, 999)))
        assert "no answer to GET_HEADERS" in await last_words(link)
        assert session.name not in sessions


async def test_who_may_connect(tmp_path: Path, clock: Clock) -> None:
    known = Identity(tmp_path / "known.pem")
    stranger = Identity(tmp_path / "stranger.pem")
    peers = [f"farm://#{known.fingerprint}"]
    async with Member(tmp_path / "victim", clock, peers, admits_unknown=False) as victim:
        terms = Terms(CHAIN, victim.node.store.canonical_hash(0) or b"")
        status = FeedStatus(terms.genesis, 0, 0)
        address = ("127.0.0.1", victim.peers.port or 0)
        for identity, words in ((known, ""), (stranger, "not configured")):
            link, listener = await dial(address, "", identity, QUICK)
            await greet_listener(link, terms, identity, listener, status)
            if words:
                assert words in await last_words(link)
            else:
                await until(lambda: victim.peers.roster.sessions, "the known one is in")
            await link.close()


async def test_another_key_than_the_configured_one_is_refused(tmp_path: Path, clock: Clock) -> None:
    async with Member(tmp_path / "victim", clock) as victim:
        address = ("127.0.0.1", victim.peers.port or 0)
        with pytest.raises(PeerRefused, match="not the configured one"):
            await dial(address, "ab" * 32, Identity(tmp_path / "me.pem"), QUICK)


async def test_a_key_cannot_be_borrowed(tmp_path: Path, clock: Clock) -> None:
    """A man in the middle may pass on what a known node signed for him: it names his own key."""
    known, middle = (Identity(tmp_path / f"{name}.pem") for name in ("known", "middle"))
    peers = [f"farm://#{known.fingerprint}"]
    async with Member(tmp_path / "victim", clock, peers, admits_unknown=False) as victim:
        terms = Terms(CHAIN, victim.node.store.canonical_hash(0) or b"")
        status = FeedStatus(terms.genesis, 0, 0)
        link, _ = await dial(("127.0.0.1", victim.peers.port or 0), "", middle, QUICK)
        await greet_listener(link, terms, known, middle.fingerprint, status)
        assert "does not prove its key" in await last_words(link)


async def test_only_tls_1_3_is_spoken(tmp_path: Path, clock: Clock) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with Member(tmp_path / "victim", clock) as victim:
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", victim.peers.port, ssl=context)


async def test_a_dead_address_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(FeedUnavailable, match="cannot connect"):
        await dial(("127.0.0.1", 9), "", Identity(tmp_path / "me.pem"), QUICK)
