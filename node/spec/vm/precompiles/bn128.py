"""Addition, multiplication and pairing check on the curve BN128 (EIPs 196 and 197)."""

from __future__ import annotations

# ruff: noqa: E402
import sys
from typing import Any

from node.spec.vm.errors import PrecompileFailed
from node.spec.vm.frame import pad_slice
from node.spec.vm.precompiles import pairing

# The library raises the limit so far on import that deeply nested input, such as JSON, could
# overrun the C stack of whatever process holds the machine; it computes well without.
_RECURSION_LIMIT = sys.getrecursionlimit()

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.optimized_bn128 import optimized_curve as curve

sys.setrecursionlimit(_RECURSION_LIMIT)

PAIR_BYTES = 192


def add(data: bytes) -> bytes:
    return _encode(curve.add(_point(data, 0), _point(data, 64)))


def multiply(data: bytes) -> bytes:
    return _encode(curve.multiply(_point(data, 0), _number(data, 64)))


def pair(data: bytes) -> bytes:
    """1 where the product of the pairings of all (G1, G2) is one, else 0; 32 bytes."""
    if len(data) % PAIR_BYTES:
        raise PrecompileFailed("bad elliptic curve pairing size")
    pairs = []
    for start in range(0, len(data), PAIR_BYTES):
        left, right = _point(data, start), _twist_point(data, start + 64)
        if right is not None and not curve.is_inf(left):
            pairs.append(((int(left[0].n), int(left[1].n)), right))
    return int(pairing.is_product_one(pairs)).to_bytes(32, "big")


def _number(data: bytes, offset: int) -> int:
    return int.from_bytes(pad_slice(data, offset, 32), "big")


def _coordinate(data: bytes, offset: int) -> int:
    number = _number(data, offset)
    if number >= curve.field_modulus:
        raise PrecompileFailed("a coordinate is not below the field's modulus")
    return number


def _point(data: bytes, offset: int) -> Any:
    """A point of G1; (0, 0) is infinity."""
    x, y = (FQ(_coordinate(data, offset + shift)) for shift in (0, 32))
    if x == FQ.zero() and y == FQ.zero():
        return curve.Z1
    point = (x, y, FQ.one())
    if not curve.is_on_curve(point, curve.b):
        raise PrecompileFailed("a point is not on the curve")
    return point


def _twist_point(data: bytes, offset: int) -> pairing.TwistPoint:
    """A point of G2, imaginary parts first; it must be of the right order. None is infinity."""
    numbers = [_coordinate(data, offset + shift) for shift in (0, 32, 64, 96)]
    point = (numbers[1], numbers[0]), (numbers[3], numbers[2])
    if not any(numbers):
        return None
    if not curve.is_on_curve((FQ2(point[0]), FQ2(point[1]), FQ2.one()), curve.b2):
        raise PrecompileFailed("a point is not on the twisted curve")
    if not pairing.is_in_subgroup(point):
        raise PrecompileFailed("a point is not in the subgroup")
    return point


def _encode(point: Any) -> bytes:
    if curve.is_inf(point):
        return bytes(64)
    x, y = curve.normalize(point)
    return int(x.n).to_bytes(32, "big") + int(y.n).to_bytes(32, "big")
