"""The kernels compiled for real GPUs, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.errors import DriverError
from drivers.kernels.gpu import binaries, nvrtc
from drivers.kernels.gpu.session import why_not
from drivers.kernels.gpu.source import kernel_source, source_hash


def test_source_is_whole() -> None:
    source = kernel_source()
    assert '#include "' not in source
    assert source.count("CUCKOO_SIP_ROUND(v0, v1, v2, v3) \\") == 1
    assert len(source_hash()) == 16


def test_machine_code_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = binaries.find_cubin(90)
    assert path.parent == tmp_path / "farmctl" / "kernels"
    assert source_hash() in path.name
    assert path.read_bytes().startswith(b"\x7fELF")
    written = path.stat().st_mtime_ns
    assert binaries.find_cubin(90) == path
    assert path.stat().st_mtime_ns == written
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_compilers_words_are_passed_on() -> None:
    with pytest.raises(DriverError, match=r"sm_90.*undefined_name"):
        nvrtc.compile_cuda('extern "C" __global__ void f() { undefined_name(); }', 90)
    with pytest.raises(DriverError, match="sm_20"):
        nvrtc.compile_cuda(kernel_source(), 20)


def test_says_why_a_gpu_cannot_search() -> None:
    assert "CuPy" in why_not("0000:01:00.0")
