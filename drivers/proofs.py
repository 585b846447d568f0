"""What the CPU does for devices that only trim graphs: it finds the cycles in what they leave
over, and verifies every proof before it is handed on."""

from drivers.cpu.cuckoo import Proof, find_cycles, verify

__all__ = ["Proof", "find_cycles", "verify"]
