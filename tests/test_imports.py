"""Who may import whom, and which file owns each heavy library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("drivers", "farmctl", "node")
    for path in (ROOT / package).rglob("*.py")
)
SHARED_BY_FAMILIES = {
    *("base", "controls", "errors", "hashes", "host_program", "kernels", "program", "proofs"),
    *("udev", "worker"),
}
PURE = {"Crypto", "blake2b", "coincurve", "numpy", "py_ecc", "rlp", "sha3"} | {
    *("__future__", "collections", "dataclasses", "enum", "functools", "hashlib", "itertools"),
    *("json", "math", "re", "struct", "sys", "types", "typing", "zlib"),
}
#: Library to the files or folders that may import it.
OWNERS = {
    "paramiko": ("farmctl/fleet/ssh.py",),
    "apscheduler": ("farmctl/timers.py",),
    "sqlalchemy": ("farmctl/store/",),
    "alembic": ("farmctl/store/",),
    "pynvml": ("drivers/cuda/",),
    "cupy": ("drivers/kernels/gpu/cupy_stream.py",),
    "serial": ("drivers/usbstick/",),
    "pyopencl": ("drivers/fpga/", "drivers/kernels/opencl/"),
    "amdsmi": ("drivers/rocm/smi.py",),
    "pyudev": ("drivers/udev.py",),
    "pynq": ("drivers/fpga/",),
    "nats": ("farmctl/nats_", "farmctl/bus_server.py"),
    "libtorrent": ("node/models/storage/torrent.py",),
    "lmdb": ("node/store/environment.py",),
    "psutil": ("drivers/cpu/", "farmctl/supervisor.py"),
}


@cache
def imports(source: str) -> tuple[tuple[str, ...], ...]:
    """Dotted names imported anywhere in a file, functions included."""
    return tuple(_imports(source))


def _imports(source: str) -> Iterator[tuple[str, ...]]:
    for item in ast.walk(ast.parse((ROOT / source).read_text("utf-8"))):
        if isinstance(item, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            assert item.level == 0, f"{source}: imports are absolute here"
            yield from ((*(item.module or "").split("."), alias.name) for alias in item.names)


def is_allowed(source: str, name: tuple[str, ...]) -> bool:
    library = name[0]
    if library in OWNERS and not source.startswith(OWNERS[library]):
        return False
    if source.startswith("node/spec/"):
        return name[:2] == ("node", "spec") or library in PURE
    if source.startswith("node/"):
        return library != "farmctl"
    if source.startswith("drivers/"):
        parts = source.split("/")
        allowed = SHARED_BY_FAMILIES | {parts[1]}
        is_family = len(parts) > 2
        in_bounds = name == ("drivers",) or (len(name) > 1 and name[1] in allowed)
        return library not in ("node", "farmctl") and (
            library != "drivers" or not is_family or in_bounds
        )
    return True


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_imports_only_what_it_may(source: str) -> None:
    assert [".".join(name) for name in imports(source) if not is_allowed(source, name)] == []


def test_the_node_meets_the_drivers_in_one_file() -> None:
    seams = {s for s in SOURCES if s.startswith("node/") for n in imports(s) if n[0] == "drivers"}
    assert len(seams) <= 1, seams


@pytest.mark.parametrize("source", [s for s in SOURCES if s.startswith("node/spec/")])
def test_consensus_code_has_no_floating_point(source: str) -> None:
    tree = ast.walk(ast.parse((ROOT / source).read_text("utf-8")))
    assert not [
        node.lineno
        for node in tree
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
    ]


def test_the_rules_can_be_broken() -> None:
    """The rules above refuse what they are there to refuse."""
    assert not is_allowed("node/spec/state.py", ("time",))
    assert not is_allowed("node/spec/state.py", ("node", "store"))
    assert not is_allowed("drivers/cuda/driver.py", ("drivers", "cpu", "sensors"))
    assert not is_allowed("node/sync.py", ("farmctl", "bus"))
    assert not is_allowed("farmctl/agent/loop.py", ("sqlalchemy", "select"))
    assert is_allowed("drivers/cuda/driver.py", ("drivers", "base", "Driver"))
