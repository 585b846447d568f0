"""The machine with everything in it."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("stand_in")
GPUS, INSTINCTS, BOARDS, STICKS = 8, 4, 2, 2
DEVICES = (
    *(f"cuda:{n}" for n in range(GPUS)),
    *(f"rocm:{n}" for n in range(INSTINCTS)),
    *(f"fpga:{n}" for n in range(BOARDS)),
    *(f"usbstick:{n}" for n in range(STICKS)),
    "cpu:0",
)
MINERS = tuple(d for d in DEVICES if d.startswith(("cuda", "rocm", "cpu")))
INFERRERS = tuple(d for d in DEVICES if d.startswith(("fpga", "usbstick")))


@dataclass
class Everything:
    folder: Path
    nvml: Any
    """`fake_nvml.Machine`, live."""
    sticks: list[Relay] = field(default_factory=list)

    def amd(self, number: int) -> Path:
        return self.folder / "amd/sys/devices/pci0000:00" / _slot(number)

    def spoil(self, address: str, fault: str) -> None:
        """``address`` is a GPU's on its bus; an empty fault takes it away."""
        (self.folder / "faults" / address).write_text(fault)

    def spoil_board(self, number: int, fault: str) -> None:
        (self.folder / "boards" / str(number)).write_text(fault)

    def variables(self) -> dict[str, str]:
        """What the processes of the rig need to find all this."""
        paths = [str(STAND_IN), str(ROOT), os.environ.get("PYTHONPATH", "")]
        return {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "LD_LIBRARY_PATH": str(self.folder / "lib"),
            "FAKE_NVML_STATE": str(self.folder / "nvml"),
            "FARM_OF_ALL": str(self.folder),
            "FARMCTL_FPGA_SIMULATION": str(BOARDS),
            "FARMCTL_FPGA_FAULTS": str(self.folder / "boards"),
            "FARMCTL_STICK_PORTS": os.pathsep.join(str(s.link) for s in self.sticks),
            "TMPDIR": str(self.folder / "tmp"),
        }


class Relay:
    """A stick's cable: it can be cut, and can damage what goes over it."""

    def __init__(self, port: str, link: Path) -> None:
        self.link, self.damages, self._count = link, False, 0
        self._stick = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self._controller, self._terminal = os.openpty()
        tty.setraw(self._terminal)
        link.symlink_to(os.ttyname(self._terminal))
        for source, target in (
            (self._stick, self._controller),
            (self._controller, self._stick),
        ):
            threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def unplug(self) -> None:
        self.link.unlink()
        for descriptor in (self._controller, self._terminal):
            with suppress(OSError):
                os.close(descriptor)

    def _copy(self, source: int, target: int) -> None:
        with suppress(OSError):
            while content := os.read(source, 4096):
                os.write(target, self._damage(content))

    def _damage(self, content: bytes) -> bytes:
        self._count += 1
        if not self.damages or self._count % 7:
            return content
        return bytes([content[0] ^ 0x55]) + content[1:]


@contextmanager
def everything(folder: Path) -> Iterator[Everything]:
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    sys.path.insert(0, str(ROOT))
    import sticks

    for name in ("faults", "boards", "lib", "tmp"):
        (folder / name).mkdir()
    made = Everything(folder, _add_gpus(folder))
    for number in range(INSTINCTS):
        _add_instinct(folder, number)
    program = sticks.build("host", folder / "firmware")
    with ExitStack() as plugged:
        for number in range(STICKS):
            stick = plugged.enter_context(sticks.plugged(program, f"STICK{number}"))
            made.sticks.append(Relay(stick.port, folder / f"ttyACM{number}"))
        yield made


def _add_gpus(folder: Path) -> Any:
    import fake_nvml
    import nvml_fixtures

    built = folder / "lib/libnvidia-ml.so"
    nvml_fixtures.build(built, "-Wl,-soname,libnvidia-ml.so.1")
    shutil.move(built, folder / "lib/libnvidia-ml.so.1")
    machine = fake_nvml.create_machine(folder / "nvml")
    hopper = machine.gpus[1]
    hopper.name, hopper.memory_total, hopper.pci_id = b"NVIDIA H200", 141 << 30, 0x233510DE
    for number in (0, *range(2, GPUS)):
        ctypes.memmove(
            ctypes.byref(machine.gpus[number]), ctypes.byref(hopper), ctypes.sizeof(hopper)
        )
    for number in range(GPUS):
        gpu = machine.gpus[number]
        gpu.uuid = f"GPU-0000000{number}-aaaa-bbbb-cccc-dddddddddddd".encode()
        gpu.bus = address_of(number).encode()
    machine.count = GPUS
    return machine


def address_of(number: int) -> str:
    return f"00000000:{number + 1:02X}:00.0"


def _slot(number: int) -> str:
    return f"0000:{0x80 + number:02x}:00.0"


def _add_instinct(folder: Path, number: int) -> None:
    from tests.drivers.rocm.test_rocm_driver import MI300X, add_gpu

    files = {**MI300X, "unique_id": f"b7e1f0011223344{number}"}
    del files["ras/umc_err_count"]
    add_gpu(folder / "amd", _slot(number), files, card=number)
