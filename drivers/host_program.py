"""What the CPU does for devices that compute only some layers of a program: all other steps,
and every step again where the device is checked."""

from drivers.cpu.loaded_program import LoadedProgram as HostProgram

__all__ = ["HostProgram"]
