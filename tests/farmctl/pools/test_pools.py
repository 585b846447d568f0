"""The farm at outside pools: our own stratum server over real sockets, and pools that go wrong."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from farmctl.messages import Submission, Work
from farmctl.mining.task import verify_proof
from farmctl.pools import client as client_module
from farmctl.pools import connection as connection_module
from farmctl.pools import failover
from farmctl.pools.client import PoolClient
from farmctl.pools.connection import PoolLost, read_password
from farmctl.pools.cortex import CortexClient
from farmctl.pools.failover import Pools
from farmctl.pools.settings import PoolSection
from node.stratum.settings import StratumSettings
from tests.node.stratum.miner import ALICE, Desk, Job, running_desk, search
from tests.node.workshop import CHAIN
from tests.support.ports import free_port

SECONDS = 20.0
DAY = datetime.timedelta(days=1)
JOB = ["0x" + "3f" * 32, "0x" + "00" * 32, "0x" + "7f" * 32, "0x5"]


def section(port: int, **more: str) -> PoolSection:
    made = PoolSection(url=f"stratum+tcp://127.0.0.1:{port}", user=ALICE, chain="tiny", **more)
    made.check()
    return made


def client_of(port: int, **more: str) -> PoolClient:
    return CortexClient(section(port, **more), CHAIN, verify_proof)


def solve(work: Work, **how: Any) -> Submission:
    found = search(Job("0x" + work.seal_hash, int(work.target, 16), work.height), **how)
    raw = bytes.fromhex(found.solution[2:])
    edges = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(0, len(raw), 4))
    return Submission(
        chain=work.chain,
        seal_hash=work.seal_hash,
        nonce=int(found.nonce, 16),
        edges=edges,
        worker="rig-a/cpu:0",
    )


async def test_shares_are_taken_by_our_own_pool(tmp_path: Path) -> None:
    async with running_desk(tmp_path) as desk:
        client = client_of(desk.pool.ports[0])
        work = await client.open()
        assert (work.chain, work.height, work.edge_bits) == ("tiny", 1, CHAIN.edge_bits)
        reply = await client.submit(solve(work))
        assert reply.outcome == "accepted", reply
        assert desk.pool.pool.counts.shares == {"accepted": 1}
        await client.close()


async def test_nothing_is_sent_that_the_pool_would_refuse(tmp_path: Path) -> None:
    async with running_desk(tmp_path, minimum_difficulty=2) as desk:
        client = client_of(desk.pool.ports[0])
        work = await client.open()
        target = int(work.target, 16)
        good = solve(work)
        low = solve(work, wanted=lambda digest: digest > target)
        wrong = (
            low,
            good.model_copy(update={"nonce": good.nonce + 1}),
            good.model_copy(update={"edges": good.edges[:-1]}),
            good.model_copy(update={"edges": (*good.edges[:-1], 2**31)}),
            good.model_copy(update={"seal_hash": "11" * 32}),
        )
        replies = [await client.submit(each) for each in wrong]
        assert [r.outcome for r in replies] == [*["rejected"] * 4, "stale"]
        assert (await client.submit(good)).outcome == "accepted"
        assert (await client.submit(good)).duplicate
        assert desk.pool.pool.counts.shares == {"accepted": 1}, "nothing else was ever sent"
        await client.close()


async def test_a_new_job_is_passed_on_at_once(tmp_path: Path) -> None:
    async with running_desk(tmp_path) as desk:
        heard: asyncio.Queue[Work] = asyncio.Queue()
        client = CortexClient(section(desk.pool.ports[0]), CHAIN, verify_proof, heard.put_nowait)
        first = await client.open()
        assert heard.get_nowait() == first
        target = desk.node.desk.current().target
        await client.submit(solve(first, wanted=lambda digest: digest <= target))
        second = await asyncio.wait_for(heard.get(), SECONDS)
        assert second.height == 2 and second.seal_hash != first.seal_hash
        await client.close()


Behaviour = Callable[[dict[str, Any]], bytes]


@asynccontextmanager
async def bad_pool(answer: Behaviour) -> AsyncIterator[int]:
    """A pool that answers as told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(answer(json.loads(line)))
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def say(result: Any, **more: Any) -> Behaviour:
    """Log everyone in, and answer anything else with one result."""

    def answer(said: dict[str, Any]) -> bytes:
        told = True if said["method"] == "ctxc_submitLogin" else result
        return json.dumps({"id": said["id"], "result": told} | more).encode() + b"\n"

    return answer


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (lambda said: b"\xff\xfe nonsense\n", "no JSON"),
        (lambda said: b"[" * 9000 + b"\n", "no JSON"),
        (lambda said: b"[1]\n", "no stratum"),
        (lambda said: b"x" * 40_000, "cannot be read"),
        (lambda said: b"", "does not answer ctxc_submitLogin"),
        (
            lambda said: b'{"id":72,"result":null,"error":{"message":"bad\\u0007user"}}\n',
            r"bad\?us",
        ),
        (say(["0x12", "0x", "0x"]), "no 32 bytes"),
        (say([JOB[0], JOB[1], "0x" + "00" * 32]), "target is 0"),
        (say("0x12"), "job is none"),
        (say(None), "gives no work"),
        (lambda said: b'{"id":5,"result":1}\n' * 2000, "floods"),
    ],
)
async def test_a_pool_that_goes_wrong_is_left(
    behaviour: Behaviour, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 1.0)
    async with bad_pool(behaviour) as port:
        client = client_of(port)
        with pytest.raises(PoolLost, match=words):
            await client.open()
            await asyncio.wait_for(client.stay(), SECONDS)
        await client.close()


async def test_a_pool_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gave work, and then says nothing more."""
    monkeypatch.setattr(connection_module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(client_module, "HEARTBEAT_SECONDS", 0.2)
    given: list[str] = []

    def answer(said: dict[str, Any]) -> bytes:
        given.append(said["method"])
        return say(JOB)(said) if len(given) <= 2 else b""

    async with bad_pool(answer) as port:
        client = client_of(port)
        work = await client.open()
        assert work.seal_hash == "3f" * 32 and work.height == 5
        with pytest.raises(PoolLost, match="does not answer ctxc_getWork"):
            await asyncio.wait_for(client.stay(), SECONDS)
        await client.close()


async def test_the_password_is_sent_from_a_file_that_is_nobody_elses(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    def answer(said: dict[str, Any]) -> bytes:
        heard.append(said["params"])
        return say(JOB)(said)

    secret = tmp_path / "password"
    secret.write_text("hush\n")
    async with bad_pool(answer) as port:
        client = client_of(port, password_file=str(secret))
        secret.chmod(0o644)
        with pytest.raises(PoolLost, match="set its mode to 600"):
            await client.open()
        secret.chmod(0o600)
        await client.open()
        assert heard[0] == [ALICE, "hush"]
        await client.close()
    with pytest.raises(PoolLost, match="cannot be read"):
        read_password(str(tmp_path / "none"))


class Farm:
    """`Pools` over some ports, and what devices are told."""

    def __init__(self, *ports: int) -> None:
        self.told: list[Work] = []
        self.pools = Pools(len(ports), lambda i, _: client_of(ports[i]), self.told.append)
        self.task = asyncio.create_task(self.pools.run())

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not is_so():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_BACKOFF_SECONDS", 0.05)
    monkeypatch.setattr(failover, "MAX_BACKOFF_SECONDS", 0.2)
    monkeypatch.setattr(failover, "RETURN_SECONDS", 0.05)


async def test_another_pool_stands_in_and_the_first_is_returned_to(
    tmp_path: Path, hurried: None
) -> None:
    port = free_port()
    first = Desk(tmp_path / "one", StratumSettings(port=port))
    first.offer()
    await first.pool.start()
    async with running_desk(tmp_path / "two") as second:
        farm = Farm(port, second.pool.ports[0])
        await farm.until(lambda: farm.pools.place == 0)
        old = farm.pools.work()
        await first.pool.stop()
        first.node.close()
        await farm.until(lambda: farm.pools.place == 1)
        assert farm.pools.work().seal_hash == farm.told[-1].seal_hash != old.seal_hash
        stale = await farm.pools.submit(solve(old))
        assert stale.outcome == "stale" and "not sent" in stale.detail
        assert (await farm.pools.submit(solve(farm.pools.work()))).outcome == "accepted"
        async with running_desk(tmp_path / "three", port=port) as again:
            await farm.until(lambda: farm.pools.place == 0)
            assert (await farm.pools.submit(solve(farm.pools.work()))).outcome == "accepted"
            assert again.pool.pool.counts.shares == {"accepted": 1}
            await farm.close()
        assert second.pool.pool.counts.shares == {"accepted": 1}


async def test_with_no_pool_devices_are_told_why_and_each_is_tried_ever_more_seldom(
    hurried: None,
) -> None:
    farm = Farm(free_port(), free_port())
    await farm.until(lambda: farm.pools._standings[1].losses >= 3)
    work = farm.pools.work()
    assert not work.available and "cannot be reached" in work.detail
    reply = await farm.pools.submit(
        Submission(chain="", seal_hash="00" * 32, nonce=0, edges=(), worker="x")
    )
    assert reply.outcome == "stale"
    await farm.close()


async def test_tls_is_checked_from_both_ends(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with running_desk(
        tmp_path / "node", tls_certificate=str(certificate), tls_key=str(key)
    ) as desk:
        url = f"stratum+tls://127.0.0.1:{desk.pool.ports[0]}"
        trusting = PoolSection(url=url, user=ALICE, certificate=str(certificate))
        client = CortexClient(trusting, CHAIN, verify_proof)
        work = await client.open()
        assert (await client.submit(solve(work))).outcome == "accepted"
        await client.close()
        for wary in (replace(trusting, certificate=""), section(desk.pool.ports[0])):
            client = CortexClient(wary, CHAIN, verify_proof)
            with pytest.raises(PoolLost):
                await client.open()
            await client.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pool")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + DAY)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "pool.pem", folder / "pool.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    none = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
    return paths


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "http://pool:1"}, "url must be"),
        ({"url": "stratum+tcp://pool"}, "url must be"),
        ({"url": "stratum+tcp://pool:99999"}, "url must be"),
        ({"url": "stratum+tcp://me:secret@pool:1"}, "no password"),
        ({"user": ""}, "user is missing"),
    ],
)
def test_a_wrong_section_is_named(wrong: dict[str, str], words: str) -> None:
    right = PoolSection(url="stratum+tls://pool.example:8008", user=ALICE)
    right.check()
    with pytest.raises(ValueError, match=words):
        replace(right, **wrong).check()
