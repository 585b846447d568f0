"""Makes a machine a rig over SSH, and takes that back: farmctl is installed in a folder of its
own, enrolled by a one-time code through a tunnel, and its agent started. Whatever fails, nothing
of it stays behind."""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from farmctl.client import ApiClient
from farmctl.config import Config, is_loopback, is_name, own_address
from farmctl.errors import BadRequest, Conflict, FarmError, NotFound, Refused, Unavailable
from farmctl.fleet import known_rigs, release
from farmctl.fleet.ssh import Destination, Host

log = logging.getLogger(__name__)
FOLDER = ".local/share/farmctl-rig"
MINIMUM_PYTHON = (3, 11)
INSTALL_SECONDS = 1800.0
JOIN_SECONDS = 60.0
STOP_SECONDS = 120.0
SEEN_SECONDS = 90.0
POLL_SECONDS = 0.5
#: Addresses that stand for all of this machine.
EVERYWHERE = ("0.0.0.0", "::")
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
#: Answers with the version, where environments can be made.
VERSION_QUESTION = "import ensurepip, json, sys, venv; print(json.dumps(sys.version_info[:3]))"
#: Lets a new environment see the packages of the Python that it was made by.
SHARE_PACKAGES = """
import pathlib, sys, sysconfig
for name in ("purelib", "platlib"):
    print(sysconfig.get_path(name))
"""
Step = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Order:
    """What kind of rig is wanted, and how it is to be installed."""

    name: str
    site: str = "home"
    folder: str = FOLDER
    """On the rig; relative to the user's home unless absolute. It must not exist yet."""
    python: str = ""
    """A Python on the rig; empty: the first that is new enough."""
    share_packages: bool = False
    """Use the packages that this Python has already, and install farmctl alone."""
    extras: str = ""
    """Of farmctl's package, e.g. ``cuda,train``."""
    wheel: Path | None = None
    wheelhouse: Path | None = None
    """Folder of wheels to install from, instead of the rig's package index."""
    bus_host: str = ""
    """Address under which the rig reaches the bus; empty: that of this end of the SSH
    connection."""
    use_systemd: bool = True


@dataclass(frozen=True)
class Place:
    """Absolute paths on the rig."""

    folder: str
    python: str

    @property
    def home(self) -> str:
        return f"{self.folder}/home"

    @property
    def own_python(self) -> str:
        return f"{self.folder}/venv/bin/python"

    def farmctl(self, *words: str) -> list[str]:
        return ["env", f"FARMCTL_HOME={self.home}", self.own_python, "-m", "farmctl", *words]


class Provisioner:
    """Installs one rig over an open connection."""

    def __init__(
        self, config: Config, api: ApiClient, host: Host, destination: Destination, step: Step
    ) -> None:
        self._config, self._api, self._host = config, api, host
        self._destination, self._step = destination, step

    def add(self, order: Order) -> str:
        """Returns who keeps the agent running there. Raises the `FarmError` of the step that
        failed, after undoing what was done."""
        with ExitStack() as undo:
            with self._step("look at the machine"):
                self._check_names(order)
                bus_host = self._find_bus_host(order)
                place = self._survey(order)
            with self._step("build this version's wheel"):
                wheel = order.wheel or release.build_wheel(self._config.home / "releases")
            with self._step("copy it"):
                self._claim(place)
                undo.callback(self._quietly, self._delete, place)
                requirement = self._upload(order, place, wheel)
            with self._step("install it"):
                self._install(order, place, requirement)
            with self._step("enrol the rig"):
                code = self._api.post("/v1/enrolments", {"rig": order.name})["code"]
                undo.callback(self._quietly, self._revoke, order.name)
                self._join(order, place, bus_host, code)
            with self._step("start its agent"):
                undo.callback(self._quietly, self._stop, place)
                keeper = self._start(order, place)
            with self._step("wait for its devices"):
                self._wait_until_seen(order.name, place)
            known_rigs.remember(self._config.home, order.name, self._destination, place.folder)
            undo.pop_all()
        return keeper

    def clear(self, folder: str) -> None:
        """Stop the agent of a rig and delete what `add` put there."""
        place = Place(folder, "")
        self._stop(place)
        self._delete(place)

    def _check_names(self, order: Order) -> None:
        for what, text in (("name", order.name), ("site", order.site)):
            if not is_name(text):
                raise BadRequest(f"give a --{what} of lower-case letters, digits and dashes")
        if any(rig["name"] == order.name for rig in self._api.get("/v1/rigs")):
            raise Conflict(f"there is a rig {order.name} already; choose another --name")

    def _find_bus_host(self, order: Order) -> str:
        """Where the rig will reach the bus. Raises `Refused` when it cannot."""
        bus = self._config.bus
        if bus.url:
            raise Refused("this farm uses a NATS server of yours; let the rig join there")
        if order.bus_host:
            return order.bus_host
        if not is_loopback(self._host.own_address) and is_loopback(bus.host):
            raise Refused(
                "the bus listens on loopback alone, so no other machine can join; set [bus] "
                'host = "0.0.0.0" in farm.toml (it speaks mutual TLS then) and start the farm again'
            )
        return self._host.own_address if bus.host in EVERYWHERE else bus.host

    def _survey(self, order: Order) -> Place:
        home = self._host.check(["sh", "-c", 'cd && printf %s "$PWD"'])
        folder = order.folder if order.folder.startswith("/") else f"{home}/{order.folder}"
        if self._host.run(["test", "-e", folder]).status == 0:
            raise Conflict(
                f"{folder} exists there: the machine is a rig already, or was; remove it"
            )
        return Place(folder, self._find_python(order))

    def _find_python(self, order: Order) -> str:
        found: list[str] = []
        for name in (order.python,) if order.python else PYTHONS:
            answer = self._host.run([name, "-c", VERSION_QUESTION])
            if answer.status:
                continue
            version = tuple(json.loads(answer.output))
            if version >= MINIMUM_PYTHON:
                return name
            found.append(f"{name} is {'.'.join(map(str, version))}")
        what = "; ".join(found) or "none was found that has the module venv"
        raise NotFound(f"the rig needs Python 3.11 or newer ({what}); install one, or name it")

    def _claim(self, place: Place) -> None:
        parent = place.folder.rsplit("/", 1)[0] or "/"
        self._host.check(["mkdir", "-p", parent])
        self._host.check(["mkdir", "-m", "700", place.folder])
        self._host.check(["mkdir", f"{place.folder}/wheels"])

    def _upload(self, order: Order, place: Place, wheel: Path) -> str:
        """Copy the wheels; returns what pip is to install."""
        others = sorted(order.wheelhouse.glob("*.whl")) if order.wheelhouse else []
        if order.wheelhouse and not others:
            raise BadRequest(f"{order.wheelhouse} holds no wheels")
        versions = release.constraints()
        for path in (wheel, *others, *((versions,) if versions else ())):
            self._host.upload(path, f"{place.folder}/wheels/{path.name}")
        extras = f"[{order.extras}]" if order.extras else ""
        return f"{place.folder}/wheels/{wheel.name}{extras}"

    def _install(self, order: Order, place: Place, requirement: str) -> None:
        venv = f"{place.folder}/venv"
        make = [place.python, "-m", "venv", *(["--without-pip"] if order.share_packages else [])]
        self._host.check([*make, venv], timeout_seconds=INSTALL_SECONDS)
        options: list[str] = []
        if order.share_packages:  # pip among them
            self._share_packages(place)
            options = ["--no-deps", "--no-index"]
        elif order.wheelhouse:
            options = ["--no-index", "--find-links", f"{place.folder}/wheels"]
        if release.constraints():
            options += ["-c", f"{place.folder}/wheels/constraints.txt"]
        pip = [place.own_python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        self._host.check([*pip, *options, requirement], timeout_seconds=INSTALL_SECONDS)

    def _share_packages(self, place: Place) -> None:
        folders = self._host.check([place.python, "-c", SHARE_PACKAGES])
        target = 'import sysconfig; print(sysconfig.get_path("purelib"))'
        own = self._host.check([place.own_python, "-c", target]).strip()
        write = f"cat > {shlex.quote(f'{own}/shared.pth')}"
        self._host.check(["sh", "-c", write], folders.encode())

    def _join(self, order: Order, place: Place, bus_host: str, code: str) -> None:
        """The code goes by stdin: arguments are for everyone to see."""
        api = self._config.api
        with self._host.tunnel((own_address(api.host).strip("[]"), api.port)) as port:
            door = ["--api", f"http://127.0.0.1:{port}", "--bus-host", bus_host]
            command = place.farmctl("rig", "join", *door, "--site", order.site)
            self._host.check(command, code.encode(), timeout_seconds=JOIN_SECONDS)

    def _start(self, order: Order, place: Place) -> str:
        words = ["rig", "start", *([] if order.use_systemd else ["--no-systemd"])]
        return self._host.check(place.farmctl(*words)).strip()

    def _wait_until_seen(self, name: str, place: Place) -> None:
        deadline = time.monotonic() + SEEN_SECONDS
        while time.monotonic() < deadline:
            if any(rig["name"] == name for rig in self._api.get("/v1/rigs")):
                return
            time.sleep(POLL_SECONDS)
        said = self._host.run(["tail", "-n", "3", f"{place.home}/logs/agent.log"]).output
        last = " / ".join(said.split("\n")).strip(" /")[:600] or "nothing"
        raise Unavailable(f"the rig's agent has not reported; it last said: {last}")

    def _stop(self, place: Place) -> None:
        self._host.check(place.farmctl("rig", "stop"), timeout_seconds=STOP_SECONDS)

    def _revoke(self, name: str) -> None:
        with contextlib.suppress(NotFound):
            self._api.delete(f"/v1/rigs/{name}")

    def _delete(self, place: Place) -> None:
        self._host.check(["rm", "-rf", "--", place.folder])

    @staticmethod
    def _quietly(action: Callable[..., None], *arguments: object) -> None:
        """Undo one step; that it fails must not hide why it is undone."""
        try:
            action(*arguments)
        except FarmError as error:
            log.warning("not undone: %s", error)


def remove(
    config: Config, api: ApiClient, name: str, connect: Callable[[Destination], Host], step: Step
) -> Iterator[str]:
    """Cut a rig off, then clear its machine if that was added over SSH and is in reach. Yields
    what is left for a person to do."""
    known = known_rigs.find(config.home, name)
    with step("cut it off the bus"):
        api.delete(f"/v1/rigs/{name}")
    if known is None:
        yield "it joined by itself: stop its agent there with `farmctl rig stop`"
        return
    try:
        with step("clear the machine"), connect(known.destination()) as host:
            Provisioner(config, api, host, known.destination(), step).clear(known.folder)
    except FarmError as error:
        where = f"{known.user}@{known.host}"
        yield f"its machine was not cleared ({error}); delete {known.folder} on {where}"
    known_rigs.forget(config.home, name)
