"""The machine behind the fake libnvidia-ml: its state, mapped from the same file."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path


class Gpu(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 96),
        ("uuid", ctypes.c_char * 80),
        ("bus", ctypes.c_char * 32),
        *(
            (name, ctypes.c_uint32)
            for name in (
                *("failure", "has_ecc", "has_memory_temperature", "may_set_power"),
                *("reverts_power", "fan_percent", "temperature", "memory_temperature"),
                *("utilisation", "power_mw", "limit_mw", "minimum_mw", "maximum_mw"),
                *("default_mw", "sm_mhz", "memory_mhz", "pcie_generation", "pcie_width"),
                *("pcie_replays", "pci_id", "memory_utilisation", "receive_kb", "send_kb"),
                *("processes", "hang_ms", "has_remap", "remapped_rows", "remap_pending"),
                *("remap_failed", "retired_pages", "mig_mode", "mig_instances"),
                *("sm_lock_mhz", "memory_lock_mhz", "fans", "fan_manual", "fan_target"),
                *("fan_minimum", "pad"),
            )
        ),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("energy_mj", "memory_total", "memory_used", "ecc_errors", "ecc_corrected"),
                "throttle_bits",
            )
        ),
    )


class Machine(ctypes.Structure):
    _fields_ = (
        ("init_result", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("event_gpu", ctypes.c_uint32),
        ("event_xid", ctypes.c_uint32),
        ("gpus", Gpu * 16),
    )


def create_machine(path: Path) -> Machine:
    """A machine with an RTX 3090 (no ECC) and an H100 (passive, ECC) in a new file."""
    path.write_bytes(bytes(ctypes.sizeof(Machine)))
    with path.open("r+b") as file:
        machine = Machine.from_buffer(mmap.mmap(file.fileno(), 0))
    os.environ["FAKE_NVML_STATE"] = str(path)
    machine.count = 2
    geforce, hopper = machine.gpus[0], machine.gpus[1]
    for number, gpu in enumerate((geforce, hopper)):
        gpu.uuid = f"GPU-0000000{number}-aaaa-bbbb-cccc-dddddddddddd".encode()
        gpu.bus = f"00000000:{number + 1:02X}:00.0".encode()
        gpu.may_set_power = 1
        gpu.temperature, gpu.utilisation = 61 + number, 97
        gpu.sm_mhz, gpu.memory_mhz = 1695, 9501
        gpu.pcie_generation, gpu.pcie_width = 4, 16
        gpu.memory_utilisation, gpu.receive_kb, gpu.send_kb = 40, 2000, 1000
        gpu.energy_mj, gpu.memory_used = 5_000_000, 1 << 30
    geforce.name, hopper.name = b"NVIDIA GeForce RTX 3090", b"NVIDIA H100 80GB HBM3"
    geforce.memory_total, hopper.memory_total = 24 << 30, 80 << 30
    geforce.pci_id, hopper.pci_id = 0x220410DE, 0x233010DE
    geforce.fan_percent, hopper.fan_percent = 45, 999
    hopper.has_ecc = hopper.has_memory_temperature = 1
    hopper.has_remap = 1
    hopper.memory_temperature = 70
    geforce.fans, geforce.fan_minimum = 2, 30
    _set_power(geforce, 280_000, 100_000, 350_000)
    _set_power(hopper, 450_000, 200_000, 700_000)
    return machine


def _set_power(gpu: Gpu, drawn_mw: int, minimum_mw: int, maximum_mw: int) -> None:
    gpu.power_mw, gpu.minimum_mw, gpu.maximum_mw = drawn_mw, minimum_mw, maximum_mw
    gpu.limit_mw = gpu.default_mw = maximum_mw
