"""Modular exponentiation (EIP-198)."""

from __future__ import annotations

from node.spec.vm.frame import pad_slice


def price(data: bytes) -> int:
    base_size, exponent_size, modulus_size = _sizes(data)
    head = int.from_bytes(pad_slice(data, 96 + base_size, min(exponent_size, 32)), "big")
    length = 8 * max(exponent_size - 32, 0) + max(head.bit_length() - 1, 0)
    return _complexity(max(base_size, modulus_size)) * max(length, 1) // 20


def run(data: bytes) -> bytes:
    """base ** exponent % modulus, as long as the modulus; a modulus of 0 gives zeros."""
    base_size, exponent_size, modulus_size = _sizes(data)
    # Free of charge then, whatever the exponent's size: it must not be looked at.
    if not base_size and not modulus_size:
        return b""
    position, operands = 96, []
    for size in (base_size, exponent_size, modulus_size):
        operands.append(int.from_bytes(pad_slice(data, position, size), "big"))
        position += size
    base, exponent, modulus = operands
    power = pow(base, exponent, modulus) if modulus else 0
    return power.to_bytes(modulus_size, "big")


def _sizes(data: bytes) -> tuple[int, int, int]:
    base, exponent, modulus = (
        int.from_bytes(pad_slice(data, position, 32), "big") for position in (0, 32, 64)
    )
    return base, exponent, modulus


def _complexity(size: int) -> int:
    if size <= 64:
        return size * size
    if size <= 1024:
        return size * size // 4 + 96 * size - 3_072
    return size * size // 16 + 480 * size - 199_680
