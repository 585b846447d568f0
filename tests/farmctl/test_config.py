from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.config import load
from farmctl.errors import ConfigError


def load_toml(home: Path, text: str, **variables: str):  # type: ignore[no-untyped-def]
    (home / "farm.toml").write_text(text)
    return load({"FARMCTL_HOME": str(home), **variables})


def test_defaults_bind_loopback(tmp_path: Path) -> None:
    config = load({"FARMCTL_HOME": str(tmp_path)})
    assert config.home == tmp_path
    assert {config.bus.host, config.node.host, config.api.host} == {"127.0.0.1"}
    assert config.store_url == f"sqlite:///{tmp_path}/farm.db"


def test_environment_wins_over_file(tmp_path: Path) -> None:
    config = load_toml(tmp_path, "[api]\nport = 1234\n", FARMCTL_API_PORT="99")
    assert config.api.port == 99


def test_keys_of_several_words_and_lists(tmp_path: Path) -> None:
    config = load_toml(
        tmp_path,
        '[api]\nallowed_hosts = ["farm.example"]\n',
        FARMCTL_PLANNER_MINIMUM_DWELL_SECONDS="5",
    )
    assert config.api.allowed_hosts == ("farm.example",)
    assert config.planner.minimum_dwell_seconds == 5.0


def test_a_switch_in_the_environment(tmp_path: Path) -> None:
    assert load_toml(tmp_path, "", FARMCTL_STORAGE_TORRENT="true").storage.torrent


def test_what_is_no_setting_of_the_farm_is_passed_over(tmp_path: Path) -> None:
    """Variables of benchmarks and tests reach the farms that those start."""
    home = {"FARMCTL_HOME": str(tmp_path)}
    others = {"FARMCTL_ZOO": "/nets", "FARMCTL_CVM_RUNTIME": "x.so", "FARMCTL_VECTORS": "/v"}
    assert load({**home, **others}) == load(home)


@pytest.mark.parametrize(
    ("text", "variables", "names"),
    [
        ("[apo]\nport = 1", {}, "apo"),
        ("[api]\nprot = 1", {}, "prot"),
        ('[api]\nport = "1"', {}, "port"),
        ("[api]\nport = true", {}, "port"),
        ("[api]\nport = 70000", {}, "70000"),
        ("api = 3", {}, "api"),
        ("[api", {}, "farm.toml"),
        ("", {"FARMCTL_API_PROT": "1"}, "FARMCTL_API_PROT"),
        ("", {"FARMCTL_API_PORT": "x"}, "FARMCTL_API_PORT"),
        ('[farm]\nrig = "a/b"', {}, "a/b"),
        ("[storage]\nreplicas = 0", {}, "replicas"),
        ('[storage]\ntorrent_peers = ["nowhere"]', {}, "nowhere"),
        ("", {"FARMCTL_STORAGE_TORRENT": "1"}, "true or false"),
        ("[node]\ncross_check_ratio = 2", {}, "cross_check_ratio"),
        ("[node]\nclass_check_ratio = -0.1", {}, "class_check_ratio"),
        ('[node]\ncache_policy = "best"', {}, "cache_policy is one of lru"),
        ('[rig]\ninfer_policy = "best"', {}, "infer_policy is one of lru"),
        ("[rig]\ninfer_bytes = -1", {}, "infer_bytes"),
        ("[node]\nkeep_states = 5", {}, "keep_states must be 0 .all. or at least 128"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, text: str, variables: dict[str, str], names: str
) -> None:
    with pytest.raises(ConfigError, match=names):
        load_toml(tmp_path, text, **variables)


POOLS = """
[[pools]]
url = "stratum+tcp://one.example:8008"
user = "0xa1"
[[pools]]
url = "stratum+tls://two.example:8009"
user = "0xa1"
"""


def test_pools_are_a_list_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text(POOLS)
    found = load({"FARMCTL_HOME": str(tmp_path)}).pools
    assert [(p.address, p.is_tls) for p in found] == [
        (("one.example", 8008), False),
        (("two.example", 8009), True),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pools]\nurl = 'x'", "list of tables"),
        (POOLS + "colour = 1", "unknown key colour in .pools."),
        (POOLS + "[[pools]]\nurl = 'http://x'", "number 3: url must be"),
        ("[stratum]\nport = 5\nsolo_port = 5", "must differ"),
        ("[stratum]\nwindow_blocks = 0", "window_blocks must be between"),
    ],
)
def test_wrong_pools_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "farm.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        load({"FARMCTL_HOME": str(tmp_path)})
