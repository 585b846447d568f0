"""The real amdsmi over a fake libamd_smi, which it binds by every symbol it knows."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.rocm import smi
from drivers.rocm.driver import Driver
from tests.drivers.rocm.test_rocm_driver import MI300X, RDNA3, add_gpu

#: What the fake answers; every other function says that it is not supported.
ANSWERS = """
#include <stdint.h>
#include <string.h>
enum { SUCCESS = 0, NOT_SUPPORTED = 2, NOT_FOUND = 31 };
int amdsmi_init(uint64_t flags) { (void)flags; return SUCCESS; }
int amdsmi_get_processor_handle_from_bdf(uint64_t bdf, void **gpu) {
  *gpu = (void *)(uintptr_t)(bdf + 1);
  return (bdf >> 8 & 0xff) == 0x83 ? SUCCESS : NOT_FOUND;
}
int amdsmi_get_energy_count(void *gpu, uint64_t *count, float *resolution, uint64_t *time) {
  (void)gpu; *count = 4000000; *resolution = 15.25f; *time = 1; return SUCCESS;
}
int amdsmi_get_gpu_total_ecc_count(void *gpu, uint64_t counts[8]) {
  (void)gpu; counts[0] = 7; counts[1] = 1; return SUCCESS;
}
int amdsmi_get_gpu_metrics_info(void *gpu, uint8_t *metrics) {
  (void)gpu;
  memset(metrics, 0xff, METRICS_BYTES);
  const uint16_t activity = 55;
  const uint32_t throttled = 4;
  memcpy(metrics + ACTIVITY_OFFSET, &activity, sizeof activity);
  memcpy(metrics + THROTTLE_OFFSET, &throttled, sizeof throttled);
  return SUCCESS;
}
"""


def write_source(folder: Path) -> tuple[Path, list[str]]:
    found = importlib.util.find_spec("amdsmi")
    assert found and found.submodule_search_locations
    wrapper = (Path(found.submodule_search_locations[0]) / "amdsmi_wrapper.py").read_text()
    symbols = set(re.findall(r"_libraries\['libamd_smi.so'\]\.(\w+)", wrapper))
    answered = set(re.findall(r"^int (\w+)", ANSWERS, re.MULTILINE))
    assert answered <= symbols
    rest = "".join(f"int {name}(void) {{ return 2; }}\n" for name in sorted(symbols - answered))
    source = folder / "amd_smi.c"
    source.write_text(ANSWERS + rest)
    return source, _layout(wrapper)


def _layout(wrapper: str) -> list[str]:
    """Offsets of the metrics' table by the binding's own layout, which needs no library."""
    fields = wrapper[wrapper.index("struct_amdsmi_gpu_metrics_t._fields_ = [") :]
    names = re.findall(r"\('(\w+)', (ctypes\.\w+|\w+)", fields.partition("\n]")[0])
    sizes = {"c_uint16": 2, "c_uint32": 4, "c_uint64": 8}
    offset, offsets = 4, {}
    for name, kind in names[1:]:
        offsets[name] = offset
        if name == "throttle_status":
            break
        offset += sizes[kind.removeprefix("ctypes.")]
    return [
        f"-DACTIVITY_OFFSET={offsets['average_umc_activity']}",
        f"-DTHROTTLE_OFFSET={offsets['throttle_status']}",
        "-DMETRICS_BYTES=512",
    ]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    source, defines = write_source(tmp_path)
    built = tmp_path / "rocm/lib/libamd_smi.so"
    built.parent.mkdir(parents=True)
    command = ["cc", "-shared", "-fPIC", "-w", *defines, "-o", str(built), str(source)]
    subprocess.run(command, check=True)
    monkeypatch.setenv("ROCM_HOME", str(tmp_path / "rocm"))
    smi._library.cache_clear()
    yield
    smi._library.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "amdsmi"]:
        del sys.modules[name]


def test_it_adds_what_the_files_lack(library: None, tmp_path: Path) -> None:
    without_ras = {name: text for name, text in MI300X.items() if not name.startswith("ras/")}
    add_gpu(tmp_path, "0000:83:00.0", without_ras, card=0)
    assert smi.why_not() == ""
    reading = Driver(tmp_path).discover()[0].snapshot()
    assert reading.values["energy_joules"] == pytest.approx(61)
    assert reading.values["memory_utilisation_ratio"] == 0.55
    assert reading.values["throttle_bits"] == smi.HARDWARE_SLOWDOWN
    assert reading.values["ecc_corrected_count"] == 7
    assert reading.values["power_watts"] == 143, "the files' own readings come first"
    assert "NOT_SUPPORTED" in reading.missing["process_count"]
    assert "no voltage_gfx" in reading.missing["voltage_volts"]


def test_a_gpu_that_it_does_not_know(library: None, tmp_path: Path) -> None:
    add_gpu(tmp_path, "0000:03:00.0", RDNA3, card=0)
    reading = Driver(tmp_path).discover()[0].snapshot()
    assert "Not found" in reading.missing["energy_joules"]
    assert reading.values["power_watts"] == 303


def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROCM_HOME", str(tmp_path))
    smi._library.cache_clear()
    assert "cannot be loaded" in smi.why_not()
    assert smi.readers("0000:83:00.0") == {}
    smi._library.cache_clear()
