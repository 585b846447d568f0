"""Rigs joining and leaving, against the real bus, in the clear on loopback and by TLS beyond it."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farmctl import bus_server, nats_bus
from farmctl.config import Config, load
from farmctl.domain import Priority, Workload
from farmctl.errors import BadRequest, BusError, Conflict, NotFound, Refused, Unauthorised
from farmctl.farm import Farm
from farmctl.files import write_secret
from farmctl.fleet import authority, enrolment, joining
from farmctl.messages import AssignmentMessage, RigPlan
from farmctl.store import inventory
from tests.farmctl.conftest import BusServer
from tests.farmctl.farms import client, report, running_farm

CURVE_REQUEST = authority.create_request("rig")[1]


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def config(config: Config, request: pytest.FixtureRequest) -> Config:
    """On loopback the bus speaks in the clear, beyond it mutual TLS."""
    bus = dataclasses.replace(config.bus, host=request.param)
    return dataclasses.replace(config, bus=bus)


@pytest.fixture
async def farm(config: Config, bus_process: BusServer) -> AsyncIterator[Farm]:
    async with running_farm(config) as made:
        yield made


def rig_config(home: Path, farm: Farm, code: str) -> Config:
    """A rig's home as `joining.join` leaves it, admitted without HTTP between."""
    seed, public = bus_server.create_seed()
    key, request = authority.create_request("rig")
    admitted = enrolment.enrol(farm, code, public, request)
    for name, content in (
        ("bus.seed", seed),
        (authority.KEY, key),
        (authority.CERTIFICATE, admitted.certificate),
        (authority.CA_CERTIFICATE, admitted.authority),
    ):
        write_secret(home / "secrets" / name, content)
    scheme = "tls" if admitted.bus_secured else "nats"
    url = f"{scheme}://127.0.0.1:{admitted.bus_port}"
    return load(
        {"FARMCTL_HOME": str(home), "FARMCTL_FARM_RIG": admitted.rig, "FARMCTL_BUS_URL": url}
    )


def plan_of(rig: str) -> RigPlan:
    line = AssignmentMessage(
        device="cpu:0", workload=Workload.MINE, priority=Priority.MINING, reason="test"
    )
    return RigPlan(rig=rig, number=7, created=0.0, assignments=(line,))


async def join_bus(config: Config, patience_seconds: float = 5.0) -> nats_bus.NatsBus:
    return await nats_bus.connect(config.bus_url, config.bus_seed, "rig", patience_seconds)


async def test_enrolled_rig_gets_its_plan_until_it_is_removed(farm: Farm, tmp_path: Path) -> None:
    code, _ = enrolment.create_code(farm, "rig2", "test")
    theirs = rig_config(tmp_path / "rig2", farm, code)
    async with await join_bus(farm.config) as bus:
        await bus.put("plans", "rig2", plan_of("rig2"))
    rig = await join_bus(theirs)
    assert await rig.get("plans", "rig2", RigPlan) == plan_of("rig2")
    enrolment.remove(farm, "rig2", "test")
    async with asyncio.timeout(5.0):
        while rig.connected:
            await asyncio.sleep(0.01)
    await rig.close()
    with pytest.raises(BusError, match="cannot join"):
        await join_bus(theirs, 0.5)


async def test_removed_rig_is_forgotten_and_its_name_is_free(farm: Farm) -> None:
    await farm.keeper.receive("inventory.rig2", report("cuckoo").model_copy(update={"rig": "rig2"}))
    before = await farm.decide()
    assert before is not None and before.for_rig("rig2")
    enrolment.remove(farm, "rig2", "test")
    await farm.decide_if_dirty()
    told = await farm.bus.get("plans", "rig2", RigPlan)
    assert told is not None and told.number > before.number and told.assignments == ()
    with farm.store.begin() as tx:
        assert [r.rig.name for r in inventory.rigs(tx)] == []
        assert inventory.devices(tx) == []
    assert enrolment.create_code(farm, "rig2", "test")[0]


async def test_late_report_of_a_removed_rig_does_not_bring_it_back(farm: Farm) -> None:
    told = report("cuckoo").model_copy(update={"rig": "rig2"})
    await farm.keeper.receive("inventory.rig2", told)
    enrolment.remove(farm, "rig2", "test")
    await farm.keeper.receive("inventory.rig2", told)
    code, _ = enrolment.create_code(farm, "rig2", "test")
    enrolment.enrol(farm, code, bus_server.create_seed()[1], CURVE_REQUEST)
    await farm.keeper.receive("inventory.rig2", told)
    with farm.store.begin() as tx:
        assert "rig2" in {record.rig.name for record in inventory.rigs(tx)}


async def test_code_works_once(farm: Farm, tmp_path: Path) -> None:
    code, _ = enrolment.create_code(farm, "rig2", "test")
    rig_config(tmp_path / "first", farm, code)
    with pytest.raises(Unauthorised, match="was used"):
        rig_config(tmp_path / "second", farm, code)


async def test_expired_code_admits_nobody(farm: Farm, tmp_path: Path) -> None:
    code, expires = enrolment.create_code(farm, "rig2", "test")
    farm.clock = lambda: expires + 1.0
    with pytest.raises(Unauthorised, match="run out"):
        rig_config(tmp_path / "rig2", farm, code)
    assert bus_server.admitted_key(farm.config.home, "rig2") is None


async def test_taken_names_are_refused(farm: Farm, tmp_path: Path) -> None:
    code, _ = enrolment.create_code(farm, "rig2", "test")
    with pytest.raises(Conflict, match="being enrolled"):
        enrolment.create_code(farm, "rig2", "test")
    async with client(farm) as api:
        waiting = (await api.get("/v1/enrolments")).json()
        assert [entry["rig"] for entry in waiting] == ["rig2"]
        assert code not in str(waiting)
    rig_config(tmp_path / "rig2", farm, code)
    async with client(farm) as api:
        assert (await api.get("/v1/enrolments")).json() == []
    for name in ("rig2", farm.config.farm.rig):
        with pytest.raises(Conflict, match=f"rig {name} already"):
            enrolment.create_code(farm, name, "test")


async def test_removal_ends_an_enrolment_that_has_begun(farm: Farm, tmp_path: Path) -> None:
    code, _ = enrolment.create_code(farm, "rig2", "test")
    enrolment.remove(farm, "rig2", "test")
    with pytest.raises(Unauthorised):
        rig_config(tmp_path / "rig2", farm, code)
    assert enrolment.create_code(farm, "rig2", "test")[0]


@pytest.mark.parametrize(
    ("key", "request_pem"),
    [
        ("not a key", CURVE_REQUEST),
        (bus_server.create_seed()[1], "not a request"),
        (bus_server.create_seed()[1], CURVE_REQUEST.replace("A", "B", 3)),
    ],
)
async def test_malformed_keys_leave_the_code_good(
    farm: Farm, tmp_path: Path, key: str, request_pem: str
) -> None:
    code, _ = enrolment.create_code(farm, "rig2", "test")
    with pytest.raises(BadRequest):
        enrolment.enrol(farm, code, key, request_pem)
    assert rig_config(tmp_path / "rig2", farm, code).farm.rig == "rig2"


async def test_what_cannot_be_removed(farm: Farm) -> None:
    with pytest.raises(NotFound):
        enrolment.remove(farm, "nobody", "test")
    with pytest.raises(Refused):
        enrolment.remove(farm, farm.config.farm.rig, "test")


async def test_bus_beyond_loopback_wants_a_certificate_of_this_farm(
    config: Config, bus_process: BusServer, tmp_path: Path
) -> None:
    if not config.bus_is_secured:
        assert config.bus_url.startswith("nats://127.0.0.1:")
        return
    plain = config.bus_url.replace("tls://", "nats://")
    with pytest.raises(BusError):
        await nats_bus.connect(plain, config.bus_seed, "plain", 0.5)
    foreign = tmp_path / "foreign"
    authority.prepare(foreign)
    write_secret(foreign / "bus.seed", config.bus_seed.read_text())
    (foreign / authority.CA_CERTIFICATE).write_bytes(
        (config.home / "secrets" / authority.CA_CERTIFICATE).read_bytes()
    )
    with pytest.raises(BusError):
        await nats_bus.connect(config.bus_url, foreign / "bus.seed", "foreign", 0.5)


def test_a_rig_certificate_cannot_serve_as_the_bus(tmp_path: Path) -> None:
    key, request = authority.create_request("rig2")
    certificate, trusted = authority.sign_request(tmp_path / "farm", "rig2", request)
    rig, farm = tmp_path / "rig", tmp_path / "farm"
    for name, content in ((authority.KEY, key), (authority.CERTIFICATE, certificate)):
        write_secret(rig / name, content)
    write_secret(rig / authority.CA_CERTIFICATE, trusted)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server=rig, client=farm)
    shake_hands(server=farm, client=rig)


def shake_hands(server: Path, client: Path) -> None:
    """A TLS handshake in memory between the holders of two folders of secrets."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server / authority.CERTIFICATE, server / authority.KEY)
    serving.load_verify_locations(server / authority.CA_CERTIFICATE)
    serving.verify_mode = ssl.CERT_REQUIRED
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = authority.client_context(client).wrap_bio(down, up, server_hostname=authority.BUS_NAME)
    far = serving.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert near.getpeercert() and far.getpeercert()


async def test_api_asks_admin_for_codes_and_nobody_for_enrolment(farm: Farm) -> None:
    async with client(farm) as admin:
        made = (await admin.post("/v1/enrolments", json={"rig": "rig2"})).json()
        taken = await admin.post("/v1/enrolments", json={"rig": farm.config.farm.rig})
        odd = await admin.post("/v1/enrolments", json={"rig": "../x"})
        assert (taken.status_code, odd.status_code) == (409, 400)
    body = {
        "code": made["code"],
        "key": bus_server.create_seed()[1],
        "certificate_request": CURVE_REQUEST,
    }
    async with client(farm, token="") as stranger:
        asked = await stranger.post("/v1/enrolments", json={"rig": "rig3"})
        wrong = await stranger.post("/v1/enrol", json=body | {"code": "guess"})
        right = await stranger.post("/v1/enrol", json=body)
        again = await stranger.post("/v1/enrol", json=body)
        gone = await stranger.delete("/v1/rigs/rig2")
    statuses = [answer.status_code for answer in (asked, wrong, right, again, gone)]
    assert statuses[1:4] == [401, 200, 401]
    assert {statuses[0], statuses[4]} <= {401, 403}
    assert right.json()["rig"] == "rig2"


def door(url: str) -> joining.Door:
    return joining.Door(url, "127.0.0.1", "home")


@pytest.mark.parametrize("url", ["http://10.0.0.1:8420", "ftp://127.0.0.1", "nonsense"])
def test_code_is_never_sent_in_the_clear(tmp_path: Path, url: str) -> None:
    with pytest.raises(Refused, match="not safe"):
        joining.join(tmp_path, door(url), "code")
    assert list(tmp_path.iterdir()) == []


def test_home_of_another_farm_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text("")
    with pytest.raises(Conflict, match="belongs to a farm already"):
        joining.join(tmp_path, door("http://127.0.0.1:1"), "code")


def test_secrets_are_private(config: Config, bus_process: BusServer) -> None:
    for path in (config.home / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
