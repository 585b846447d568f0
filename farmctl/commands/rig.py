"""``farmctl rig``: add machines to the farm, list them, take them out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from farmctl import config as configuration
from farmctl.client import ApiClient
from farmctl.config import Config
from farmctl.errors import BadRequest

#: A code is far shorter.
CODE_LIMIT = 1000


def add(
    machine: Annotated[str, typer.Argument(help="user@host, reached over SSH.")],
    name: Annotated[str, typer.Option(help="The rig's name; else the host's.")] = "",
    site: Annotated[str, typer.Option(help="Where it stands.")] = "home",
    port: Annotated[int, typer.Option(help="Of the SSH server.")] = 22,
    identity: Annotated[str, typer.Option(help="File of the private key to log in with.")] = "",
    password: Annotated[bool, typer.Option("--password", help="Ask for a password.")] = False,
    accept_host_key: Annotated[str, typer.Option(help="Fingerprint, SHA256:…")] = "",
    folder: Annotated[str, typer.Option(help="On the rig; for everything it gets.")] = "",
    python: Annotated[str, typer.Option(help="A Python on the rig, 3.11 or newer.")] = "",
    share_packages: Annotated[
        bool, typer.Option("--share-packages", help="Use the packages that Python has.")
    ] = False,
    extras: Annotated[str, typer.Option(help="E.g. cuda,train.")] = "",
    wheel: Annotated[Path | None, typer.Option(help="farmctl's wheel; else it is built.")] = None,
    wheelhouse: Annotated[
        Path | None, typer.Option(help="Folder of wheels, instead of the rig's index.")
    ] = None,
    bus_host: Annotated[str, typer.Option(help="Under which the rig reaches this farm.")] = "",
    systemd: Annotated[bool, typer.Option(help="Let systemd keep the agent.")] = True,
) -> None:
    """Install the agent on a machine over SSH, enrol it, and start it."""
    from farmctl.fleet import provisioning, ssh

    config, console = configuration.load(), Console(stderr=True)
    destination = ssh.parse(machine, port, identity)
    order = provisioning.Order(
        name=name or _name_of(destination.host),
        site=site,
        folder=folder or provisioning.FOLDER,
        python=python,
        share_packages=share_packages,
        extras=extras,
        wheel=wheel,
        wheelhouse=wheelhouse,
        bus_host=bus_host,
        use_systemd=systemd,
    )
    api = ApiClient(config)
    secret = _ask_password(machine) if password else ""
    known_hosts = config.home / "fleet" / "known_hosts"
    with ssh.connect(destination, known_hosts, accept_host_key, secret) as host:
        step = _steps(console)
        kept = provisioning.Provisioner(config, api, host, destination, step).add(order)
    typer.echo(f"{order.name} is a rig of this farm; its agent is kept by {kept}")


def list_rigs() -> None:
    """List the rigs, with what each says of itself."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("rig", "site", "state", "devices", "plan", "version"):
        table.add_column(column)
    for rig in ApiClient(configuration.load()).get("/v1/rigs"):
        state = f"{rig['state']}: {rig['reason']}" if rig["reason"] else rig["state"]
        figures = (str(rig["devices"]), str(rig["plan_number"]), rig["agent_version"])
        table.add_row(rig["name"], rig["site"], state, *figures)
    Console(markup=False).print(table)


def remove(
    name: str,
    password: Annotated[bool, typer.Option("--password", help="Ask for a password.")] = False,
) -> None:
    """Cut a rig off at once, stop its agent and delete what was installed there."""
    from farmctl.fleet import provisioning, ssh

    config, console = configuration.load(), Console(stderr=True)

    def connect(destination: ssh.Destination) -> ssh.Host:
        secret = _ask_password(destination.host) if password else ""
        return ssh.connect(destination, config.home / "fleet" / "known_hosts", password=secret)

    for line in provisioning.remove(config, ApiClient(config), name, connect, _steps(console)):
        console.print(f"[yellow]note:[/] {line}", highlight=False)
    typer.echo(f"{name} is no rig of this farm any more")


def create_code(name: str) -> None:
    """Print a one-time code for a machine that joins by itself, with `farmctl rig join`."""
    typer.echo(ApiClient(configuration.load()).post("/v1/enrolments", {"rig": name})["code"])


def join(
    api: Annotated[str, typer.Option(help="The controller's API; https beyond loopback.")],
    bus_host: Annotated[str, typer.Option(help="Host under which the bus is reached.")],
    site: Annotated[str, typer.Option(help="Where this machine stands.")] = "home",
) -> None:
    """On a rig: enrol this machine; the one-time code is read from standard input."""
    from farmctl.fleet.joining import Door, join

    code = sys.stdin.readline(CODE_LIMIT).strip()
    if not code:
        raise BadRequest("give the one-time code on standard input; `farmctl rig code` makes one")
    home = configuration.home_directory()
    typer.echo(f"this machine is rig {join(home, Door(api, bus_host, site), code)} now")


def start(
    systemd: Annotated[bool, typer.Option(help="Let systemd keep the agent.")] = True,
) -> None:
    """On a rig: start its agent and have it kept."""
    from farmctl.fleet import service

    typer.echo(service.start(_rig().home, systemd))


def stop() -> None:
    """On a rig: stop its agent."""
    from farmctl.fleet import service

    service.stop(configuration.home_directory())


def keep() -> None:
    """On a rig: run its agent, again whenever it ends."""
    from farmctl.fleet import service

    service.run_keeper(_rig().home)


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The machines of the farm.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_rigs)
    group.command("remove")(remove)
    group.command("code")(create_code)
    group.command("join")(join)
    group.command("start")(start)
    group.command("stop")(stop)
    group.command("keep", hidden=True)(keep)
    app.add_typer(group, name="rig")


def _rig() -> Config:
    """This rig's configuration, which must be sound before its agent is started."""
    return configuration.load()


def _name_of(host: str) -> str:
    """The first part of a host name; an address names nothing."""
    return "" if host.replace(".", "").isdigit() or ":" in host else host.split(".")[0].lower()


def _ask_password(where: str) -> str:
    """From the terminal, or from standard input where there is none."""
    if sys.stdin.isatty():
        return str(typer.prompt(f"password for {where}", hide_input=True))
    return sys.stdin.readline().rstrip("\n")


def _steps(console: Console) -> Callable[[str], AbstractContextManager[None]]:
    @contextmanager
    def step(what: str) -> Iterator[None]:
        began = time.monotonic()
        with console.status(what):
            yield
        console.print(f"{what}: done in {time.monotonic() - began:.1f} s", highlight=False)

    return step
