"""What is wrong gets a clear error, and changes nothing on the running farm."""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from farmctl import bus_server, nats_bus
from farmctl.errors import BadRequest, BusError, NotFound
from farmctl.files import write_secret
from farmctl.messages import Message
from tests.farm.load import JOB
from tests.farm.running import RunningFarm, running, until
from tests.farm.witness import query, undisturbed_curve
from tests.support.cvm_models import small_model

STEPS = 120
TABLES = ("plans", "wishes", "pauses", "switches", "jobs", "quotes", "invoices", "ledger", "audit")


class Misshapen(Message):
    """A message of a form that nobody expects."""

    rig: str = "rig-a"
    number: str = "the next one"


class Noise(Message):
    """Not even JSON."""

    def model_dump_json(self, **_: Any) -> str:
        return '{"v": 1, "rig'


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFarm]:
    with running(tmp_path_factory.mktemp("farm") / "home", twin=True) as farm:
        yield farm


def state(farm: RunningFarm) -> dict[str, Any]:
    """All that a wrong request might have changed."""
    counts = {t: query(farm.home / "farm.db", f"SELECT count(*) FROM {t}") for t in TABLES}
    devices = [
        (d["key"], d["wanted"], d["health"] if "health" in d else d["state"])
        for d in farm.client.get("/v1/devices")
    ]
    stored = sorted(path.name for path in (farm.home / "models").iterdir())
    return {
        "counts": counts,
        "devices": devices,
        "models": stored,
        "rig": farm.client.get("/v1/rigs/rig-a")["plan_number"],
        "pids": {part: farm.pids(part) for part in ("node", "controller", "agent", "runner")},
    }


def test_unknown_device(farm: RunningFarm) -> None:
    before = state(farm)
    done = farm.command("switch", "cpu:7", "idle", "--lock")
    assert (done.returncode, "there is no device" in done.stderr) == (1, True), done
    done = farm.command("switch", "the big one", "idle")
    assert (done.returncode, "give family:index" in done.stderr) == (1, True), done
    with pytest.raises(NotFound, match="there is no device rig-z/cpu:0"):
        farm.client.post("/v1/devices/rig-z/cpu:0/pause")
    assert state(farm) == before


@pytest.mark.parametrize("wrong", [Misshapen(), Noise()], ids=["misshapen", "not JSON"])
def test_malformed_messages(farm: RunningFarm, wrong: Message) -> None:
    """The bus carries them; each receiver drops them and goes on, the durable ones too."""
    before = state(farm)

    async def send() -> list[str]:
        said = []
        async with await nats_bus.connect(
            farm.config.bus_url, farm.config.bus_seed, "stranger", 5.0
        ) as bus:
            await bus.put("plans", "rig-a", wrong)
            await bus.append("event.rig-a", wrong, f"wrong {type(wrong).__name__}")
            for subject in ("inventory.rig-a", "reading.rig-a", "node.status", "node.work.new"):
                await bus.publish(subject, wrong)
            for subject in ("node.submit", "artifact.put", "infer.run.rig-a.cpu:0", "node.model"):
                with pytest.raises(BusError) as caught:
                    await bus.request(subject, wrong, Message)
                said.append(str(caught.value))
        return said

    assert all("malformed request" in text for text in asyncio.run(send()))
    shares = farm.overview()["shares_accepted"]
    until(lambda: farm.overview()["shares_accepted"] > shares, 120, "an event after the wrong one")
    assert state(farm) == before


def test_wrong_token_and_wrong_key(farm: RunningFarm, tmp_path: Path) -> None:
    before = state(farm)
    url = f"{farm.config.api_url}/v1/devices/rig-a/cpu:0/pause"
    for headers in ({"X-Farmctl": "1"}, {"Authorization": "Bearer wrong"}):
        answer = httpx.post(url, headers=headers, timeout=10)
        assert answer.status_code == 401
        assert "token" in answer.json()["message"]
    write_secret(tmp_path / "seed", bus_server.create_seed()[0])
    with pytest.raises(BusError):
        asyncio.run(nats_bus.connect(farm.config.bus_url, tmp_path / "seed", "stranger", 3.0))
    assert state(farm) == before


def test_truncated_model(farm: RunningFarm, tmp_path: Path) -> None:
    before = state(farm)
    symbol, parameters = small_model()
    for name, content in (("symbol", symbol), ("params", parameters[:-3])):
        (tmp_path / name).write_bytes(content)
    done = farm.command("model", "inspect", str(tmp_path))
    assert done.returncode == 1 and "parameters end within" in done.stderr, done
    files = {
        name: farm.client.put_file((tmp_path / name).read_bytes()) for name in ("symbol", "params")
    }
    with pytest.raises(BadRequest, match="no whole model"):
        farm.client.post("/v1/storage", {"files": files})
    assert state(farm) == before


@pytest.mark.parametrize("raw", ["0x", "0xdeadbeef", "0xc0", "0xf8ff01", "f86c", "0x" + "00" * 200])
def test_transaction_that_is_not_rlp(farm: RunningFarm, raw: str) -> None:
    pending = farm.overview()["node"]["pending_transactions"]
    answer = farm.ask_node("eth_sendRawTransaction", raw)
    assert answer["error"]["code"] < 0 and answer["error"]["message"], answer
    assert "result" not in answer
    assert farm.overview()["node"]["pending_transactions"] == pending


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_full_disk_on_writing_a_checkpoint(farm: RunningFarm, tmp_path: Path) -> None:
    """A limit on the running job's files stands for the full disk: the job says so, the
    checkpoint before stays, and with room again it ends with an undisturbed job's curve."""
    quote = farm.client.post(
        "/v1/quotes", {"kind": "digits-cnn", "parameters": JOB | {"steps": str(STEPS)}}
    )
    job = farm.client.post("/v1/jobs", {"quote": quote["id"], "name": "full disk"})["id"]
    checkpoint = farm.home / "rig" / "jobs" / job / "room" / "checkpoint.pt"
    until(checkpoint.exists, 120, "a first checkpoint")
    for pid in farm.pids("job"):
        psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    kept = checkpoint.read_bytes()
    until(lambda: complaints(farm), 120, "the job's complaint")
    assert re.search(r"cannot write .*checkpoint", complaints(farm)[0])
    assert len(checkpoint.read_bytes()) >= len(kept) > 4096
    until(lambda: farm.client.get(f"/v1/jobs/{job}")["state"] == "done", 120, "the job's end")
    losses = farm.client.get(f"/v1/jobs/{job}")["results"]["losses.txt"]
    curve = [float(line) for line in (farm.home / "artifacts" / losses).read_text().split()]
    assert curve == undisturbed_curve(tmp_path / "undisturbed", STEPS)


def complaints(farm: RunningFarm) -> list[str]:
    events = farm.client.get("/v1/events")
    return [e["text"] for e in events if "cannot write" in e["text"]]
