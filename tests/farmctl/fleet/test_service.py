"""The agent as a service: kept by systemd, which a script stands in for below our code, or by a
keeper of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmctl.errors import Conflict, Unavailable
from farmctl.fleet import service

FAKE = """\
#!/bin/sh
echo "$(basename "$0") $*" >>{log}
case "$*" in *"{fails}"*) exit 1 ;; esac
"""


class Systemd:
    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "calls"

    def install(self, fails: str = "no such command") -> None:
        self.folder.mkdir(exist_ok=True)
        for name in ("systemctl", "loginctl"):
            path = self.folder / name
            path.write_text(FAKE.format(log=self.log, fails=fails))
            path.chmod(0o755)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    made = Systemd(tmp_path / "bin")
    made.install()
    monkeypatch.setenv("PATH", f"{made.folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return made


def unit_of(tmp_path: Path) -> Path:
    return tmp_path / "config" / "systemd" / "user" / "farmctl-rig.service"


def test_systemd_is_told_to_keep_the_agent(systemd: Systemd, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "systemd" in service.start(home)
    unit = unit_of(tmp_path).read_text()
    assert f"Environment=FARMCTL_HOME={home}\n" in unit
    assert "-m farmctl agent\nRestart=always\n" in unit
    assert systemd.calls()[1:] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now farmctl-rig.service",
        "loginctl enable-linger",
    ]
    with pytest.raises(Conflict, match="runs already"):
        service.start(home)


def test_stopping_takes_the_unit_away(systemd: Systemd, tmp_path: Path) -> None:
    service.start(tmp_path / "home")
    service.stop(tmp_path / "another")
    assert unit_of(tmp_path).exists()
    service.stop(tmp_path / "home")
    assert not unit_of(tmp_path).exists()
    assert systemd.calls()[-2:] == [
        "systemctl --user disable --now farmctl-rig.service",
        "systemctl --user daemon-reload",
    ]


def test_unit_that_does_not_start_is_not_left_behind(systemd: Systemd, tmp_path: Path) -> None:
    systemd.install(fails="enable --now")
    with pytest.raises(Unavailable, match="journalctl"):
        service.start(tmp_path / "home")
    assert not unit_of(tmp_path).exists()


def test_without_linger_it_says_until_when_the_agent_runs(systemd: Systemd, tmp_path: Path) -> None:
    systemd.install(fails="enable-linger")
    assert "while this user is logged in" in service.start(tmp_path / "home")


def test_agent_without_systemd_is_kept_by_a_process(systemd: Systemd, tmp_path: Path) -> None:
    systemd.install(fails="list-units")
    home = tmp_path / "home"
    try:
        assert "after a reboot" in service.start(home)
        assert service.is_kept(home) and not unit_of(tmp_path).exists()
        with pytest.raises(Conflict, match="runs already"):
            service.start(home)
    finally:
        service.stop(home)
    assert not service.is_kept(home)
    service.stop(home)  # once more changes nothing
