"""This version of farmctl as a wheel, for the rigs: built once from the checkout that runs."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from farmctl import __version__
from farmctl.errors import NotFound, StoreError, Unavailable

ROOT = Path(__file__).parents[2]
PARTS = ("farmctl", "drivers", "node", "hw-configs")
FILES = ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE")
BUILT = frozenset({".so", ".pyc", ".dll", ".dylib"})
BUILD_SECONDS = 900.0


def build_wheel(releases: Path, root: Path = ROOT) -> Path:
    """The wheel of the running checkout; kept in ``releases`` by version and content. Raises
    `NotFound` where there is no checkout, `Unavailable` with the output of a failed build."""
    if not (root / "pyproject.toml").exists():
        raise NotFound("farmctl does not run from a clone here; give its wheel by --wheel FILE")
    folder = releases / f"{__version__}-{content_hash(root)}"
    if not (found := _wheel_in(folder)):
        releases.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=releases) as temporary:
            _build(root, Path(temporary))
            if _wheel_in(Path(temporary)) is None:
                raise Unavailable("the build made no wheel")
            folder.mkdir(exist_ok=True)
            for made in Path(temporary).glob("*.whl"):
                made.rename(folder / made.name)
        found = _wheel_in(folder)
    assert found is not None
    return found


def content_hash(root: Path) -> str:
    """Over names and contents of every source file of the package."""
    digest = hashlib.sha256()
    for path in _sources(root):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def constraints(root: Path = ROOT) -> Path | None:
    """The exact versions that this release is tested with, where they are at hand."""
    path = root / "constraints.txt"
    return path if path.exists() else None


def _sources(root: Path) -> Iterator[Path]:
    for name in FILES:
        if (root / name).exists():
            yield root / name
    for part in PARTS:
        for path in sorted((root / part).rglob("*")):
            if path.is_file() and path.suffix not in BUILT:
                yield path


def _wheel_in(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("farmctl-*.whl"))), None)


def _build(root: Path, target: Path) -> None:
    """In the environment that runs where it has the build's parts, else in one of its own."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(target)]
    if importlib.util.find_spec("scikit_build_core"):
        command.append("--no-build-isolation")
    try:
        done = subprocess.run(
            [*command, str(root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"the build took longer than {BUILD_SECONDS:g} s") from error
    except OSError as error:
        raise StoreError(f"cannot run pip: {error}") from error
    if done.returncode:
        raise Unavailable(f"the wheel could not be built: {done.stdout.strip()[-1000:]}")
