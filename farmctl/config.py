"""The farm's configuration: one frozen `Config` from farm.toml and the environment.

``FARMCTL_HOME`` names the farm's home (default ``~/.local/share/farmctl``). Every setting can be
overridden by ``FARMCTL_SECTION_KEY``, e.g. ``FARMCTL_API_PORT=9000``. Unknown keys are refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from farmctl.errors import ConfigError
from farmctl.pools.settings import PoolSection
from farmctl.sections import (
    ApiSection,
    BusSection,
    EconomySection,
    FarmSection,
    MarketSection,
    NodeSection,
    PlannerSection,
    RigSection,
    StoreSection,
)
from node.light.settings import LightSettings
from node.models.storage.settings import StorageSettings
from node.peers.settings import PeerSection, PeerSettings
from node.rpc.settings import RpcSettings
from node.stratum.settings import StratumSettings
from node.synapse.settings import SynapseSettings

PREFIX = "FARMCTL_"
#: ``FARMCTL_`` variables that are no settings.
RESERVED = frozenset(
    PREFIX + name
    for name in (
        *("HOME", "VECTORS", "ETHEREUM_TESTS", "KUBO_URL", "DRIVERS", "PYNQ_PYTHON", "OPENCL_CPU"),
        *("STICK_PORTS", "API"),
        *("FPGA_OVERLAY", "FPGA_AOCX", "FPGA_SIMULATION", "FPGA_FAULTS"),
        # Of benchmarks, which start farms with their own environment.
        *("ZOO", "CVM_RUNTIME", "CUCKOO_PEER", "PYEVM_PYTHON", "EELS_PYTHON"),
    )
)
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


@dataclass(frozen=True)
class Config:
    home: Path
    farm: FarmSection = field(default_factory=FarmSection)
    rig: RigSection = field(default_factory=RigSection)
    bus: BusSection = field(default_factory=BusSection)
    node: NodeSection = field(default_factory=NodeSection)
    api: ApiSection = field(default_factory=ApiSection)
    economy: EconomySection = field(default_factory=EconomySection)
    market: MarketSection = field(default_factory=MarketSection)
    planner: PlannerSection = field(default_factory=PlannerSection)
    store: StoreSection = field(default_factory=StoreSection)
    light: LightSettings = field(default_factory=LightSettings)
    rpc: RpcSettings = field(default_factory=RpcSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    stratum: StratumSettings = field(default_factory=StratumSettings)
    synapse: SynapseSettings = field(default_factory=SynapseSettings)
    pools: tuple[PoolSection, ...] = ()
    peers: tuple[PeerSection, ...] = ()

    @property
    def bus_url(self) -> str:
        """Where the processes of this machine join the bus."""
        if self.bus.url:
            return self.bus.url
        scheme = "tls" if self.bus_is_secured else "nats"
        return f"{scheme}://{own_address(self.bus.host)}:{self.bus.port}"

    @property
    def bus_is_secured(self) -> bool:
        """Whether the server of this farm speaks mutual TLS: it does beyond loopback."""
        return not self.bus.url and not is_loopback(self.bus.host)

    @property
    def peer_settings(self) -> PeerSettings:
        """Whom the node speaks to."""
        admits_unknown = self.node.peer_admission == "anyone"
        return PeerSettings(self.peers, self.node.peer_listen, admits_unknown)

    @property
    def bus_seed(self) -> Path:
        """File of the nkey seed with which this machine's processes join the bus."""
        return self.home / "secrets" / "bus.seed"

    @property
    def admin_token(self) -> Path:
        """File of the local admin's API token."""
        return self.home / "secrets" / "api.token"

    @property
    def api_url(self) -> str:
        return f"http://{own_address(self.api.host)}:{self.api.port}"

    @property
    def node_url(self) -> str:
        return f"http://{self.node.host}:{self.node.port}"

    @property
    def store_url(self) -> str:
        return self.store.url or f"sqlite:///{self.home / 'farm.db'}"


SECTIONS: dict[str, type[Any]] = {
    "farm": FarmSection,
    "rig": RigSection,
    "bus": BusSection,
    "node": NodeSection,
    "api": ApiSection,
    "economy": EconomySection,
    "market": MarketSection,
    "planner": PlannerSection,
    "store": StoreSection,
    "light": LightSettings,
    "rpc": RpcSettings,
    "storage": StorageSettings,
    "stratum": StratumSettings,
    "synapse": SynapseSettings,
}
#: Sections that may come several times, as ``[[name]]``; the environment does not reach these.
LISTS: dict[str, type[Any]] = {"pools": PoolSection, "peers": PeerSection}


def is_name(text: str) -> bool:
    """Whether a text can name a rig or a site."""
    return _NAME.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_address(host: str) -> str:
    """Where this machine itself reaches what listens on ``host``, ready for a URL."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{own}]" if ":" in own else own


def home_directory(environment: Mapping[str, str] = os.environ) -> Path:
    given = environment.get("FARMCTL_HOME")
    return Path(given).expanduser().resolve() if given else Path.home() / ".local/share/farmctl"


def load(environment: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration. Raises `ConfigError` naming the file or variable at fault."""
    home = home_directory(environment)
    tables = _read(home / "farm.toml")
    for key in tables:
        if key not in SECTIONS and key not in LISTS:
            known = ", ".join([*SECTIONS, *LISTS])
            raise ConfigError(f"farm.toml: unknown section [{key}]; known: {known}")
    overrides = _overrides(environment)
    sections: dict[str, Any] = {
        name: _section(kind, name, tables.get(name, {}), overrides.get(name, {}))
        for name, kind in SECTIONS.items()
    }
    lists: dict[str, Any] = {
        name: _list(kind, name, tables.get(name, [])) for name, kind in LISTS.items()
    }
    config = Config(home=home, **sections, **lists)
    _check(config)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _overrides(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """``FARMCTL_SECTION_KEY`` variables by section and key."""
    found: dict[str, dict[str, str]] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        section, _, key = variable.removeprefix(PREFIX).lower().partition("_")
        if section not in SECTIONS or key not in _fields(SECTIONS[section]):
            raise ConfigError(f"{variable} is no setting; unset it or correct its name")
        found.setdefault(section, {})[key] = value
    return found


def _fields(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _section(kind: type[Any], name: str, table: Any, overrides: Mapping[str, str]) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"farm.toml: [{name}] must be a table")
    known = _fields(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(
                f"farm.toml: unknown key {key} in [{name}]; known: {', '.join(known)}"
            )
        values[key] = _typed(known[key], value, f"farm.toml: [{name}] {key}")
    for key, text in overrides.items():
        where = f"{PREFIX}{name}_{key}".upper()
        values[key] = _typed(known[key], _parsed(known[key], text, where), where)
    return kind(**values)


def _list(kind: type[Any], name: str, tables: Any) -> tuple[Any, ...]:
    if not isinstance(tables, list):
        raise ConfigError(f"farm.toml: {name} is a list of tables, each headed [[{name}]]")
    return tuple(_section(kind, name, table, {}) for table in tables)


def _parsed(kind: Any, text: str, where: str) -> Any:
    if kind is str:
        return text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            raise ConfigError(f"{where} must be a number, not {text!r}") from error
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{where} must be true or false, not {text!r}")
        return text.lower() == "true"
    return [part.strip() for part in text.split(",") if part.strip()]


def _typed(kind: Any, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if kind == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif type(value) is kind:
        return value
    wanted = "a list of strings" if kind == tuple[str, ...] else kind.__name__
    raise ConfigError(f"{where} must be {wanted}, not {value!r}")


def _check(config: Config) -> None:
    for label, name in (("rig", config.farm.rig), ("site", config.farm.site)):
        if not is_name(name):
            raise ConfigError(f"[farm] {label} = {name!r}: use lower-case letters, digits, dashes")
    for section in (config.bus, config.node, config.api):
        if not 0 < section.port < 65536:
            raise ConfigError(f"port {section.port} is out of range 1 … 65535")
    for name, settings in (
        ("rig", config.rig),
        ("node", config.node),
        ("light", config.light),
        ("rpc", config.rpc),
        ("storage", config.storage),
        ("stratum", config.stratum),
        ("synapse", config.synapse),
    ):
        _check_by(settings.check, f"[{name}]")
    for number, pool in enumerate(config.pools, 1):
        _check_by(pool.check, f"[[pools]] number {number}:")
    _check_by(config.peer_settings.check, "[[peers]]")


def _check_by(check: Callable[[], None], where: str) -> None:
    try:
        check()
    except ValueError as error:
        raise ConfigError(f"{where} {error}") from error


def with_ports(config: Config, bus: int, node: int, api: int) -> Config:
    """The same configuration on other ports."""
    return dataclasses.replace(
        config,
        bus=dataclasses.replace(config.bus, port=bus),
        node=dataclasses.replace(config.node, port=node),
        api=dataclasses.replace(config.api, port=api),
    )
