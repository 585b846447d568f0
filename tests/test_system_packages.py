"""The script that installs what the tests need, run on a machine made of a few commands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "system_packages.sh"
SHELL = shutil.which("sh") or "/bin/sh"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of commands: the shell's own, and none of the packages."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("chmod", "rm"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def add_platform(machine: Path) -> None:
    """PoCL, as its package leaves it."""
    (machine / "vendors").mkdir()
    (machine / "vendors/pocl.icd").write_text("libpocl.so\n")


def write_command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!{SHELL}\n{script}\n")
    (folder / name).chmod(0o755)


def run_script(machine: Path, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": str(machine),
        "POLICY": str(machine / "policy-rc.d"),
        "OCL_ICD_VENDORS": str(machine / "vendors"),
    }
    return subprocess.run(
        [SHELL, script], env=environment, capture_output=True, text=True, timeout=20, check=False
    )


def test_it_names_what_is_missing_where_it_cannot_install(machine: Path) -> None:
    write_command(machine, "id", "echo 1000")
    for name in ("sshd", "bwrap", "clang-19", "oclgrind", "ip", "umockdev-run"):
        write_command(machine, name, "")
    add_platform(machine)
    done = run_script(machine)
    assert done.returncode == 0
    assert done.stderr.strip().endswith("not run: chromium")


def test_as_root_it_installs_only_what_is_missing(machine: Path, tmp_path: Path) -> None:
    write_command(machine, "id", "echo 0")
    for name in ("sshd", "bwrap", "clang-19", "oclgrind", "ip", "umockdev-run"):
        write_command(machine, name, "")
    add_platform(machine)
    calls = tmp_path / "calls"
    write_command(machine, "apt-get", f'[ -x "$POLICY" ] && echo "$@" >>{calls}')
    done = run_script(machine)
    assert done.returncode == 0, done.stderr
    update, install = calls.read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith("--no-install-recommends chromium")
    assert not (machine / "policy-rc.d").exists()


def test_a_failed_installation_does_not_stop_the_other_tests(machine: Path) -> None:
    write_command(machine, "id", "echo 0")
    for name in ("sshd", "ip"):
        write_command(machine, name, "")
    write_command(machine, "apt-get", "exit 100")
    done = run_script(machine)
    assert done.returncode == 0
    missing = "chromium bubblewrap clang-19 lld-19 oclgrind umockdev pocl-opencl-icd"
    assert done.stderr.strip().endswith(f"not run: {missing}")


def test_it_says_nothing_where_all_is_there(machine: Path) -> None:
    for name in ("chromium", "sshd", "bwrap", "clang-19", "oclgrind", "ip", "umockdev-run"):
        write_command(machine, name, "")
    add_platform(machine)
    done = run_script(machine)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
