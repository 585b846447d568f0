"""The pairing: against the library's slower one, and by what makes it a pairing."""

from __future__ import annotations

from random import Random

import pytest

from node.spec.vm.errors import PrecompileFailed
from node.spec.vm.precompiles import bn128, pairing

# After ours, which keeps the recursion limit from harm.
from py_ecc.fields import optimized_bn128_FQ12 as FQ12  # isort: skip
from py_ecc.optimized_bn128 import optimized_curve as curve  # isort: skip

RANDOM = Random(12)


def elements(count: int) -> list[pairing.Twelve]:
    return [[RANDOM.randrange(pairing.MODULUS) for _ in range(12)] for _ in range(count)]


def coefficients(value: FQ12) -> list[int]:
    return [int(c) for c in value.coeffs]


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def first_group(scalar: int) -> bytes:
    if scalar % pairing.ORDER == 0:
        return bytes(64)
    x, y = curve.normalize(curve.multiply(curve.G1, scalar % pairing.ORDER))
    return word(x.n) + word(y.n)


def second_group(scalar: int) -> bytes:
    if scalar % pairing.ORDER == 0:
        return bytes(128)
    x, y = curve.normalize(curve.multiply(curve.G2, scalar % pairing.ORDER))
    return b"".join(word(int(c)) for c in (*x.coeffs[::-1], *y.coeffs[::-1]))


def holds(*scalars: tuple[int, int]) -> bool:
    """Whether the product of the pairings of these multiples of the generators is one."""
    data = b"".join(first_group(a) + second_group(b) for a, b in scalars)
    return bn128.pair(data) == word(1)


def test_constants() -> None:
    assert curve.field_modulus == pairing.MODULUS
    assert curve.curve_order == pairing.ORDER


def test_field() -> None:
    for left, right in zip(elements(5), elements(5), strict=True):
        assert pairing.multiply(left, right) == coefficients(FQ12(left) * FQ12(right))
        assert pairing.multiply(left, pairing.invert(left)) == pairing.ONE
    (value,) = elements(1)
    assert pairing.frobenius(value) == coefficients(FQ12(value) ** pairing.MODULUS)
    whole = (pairing.MODULUS**12 - 1) // pairing.ORDER
    assert pairing._final(value) == coefficients(FQ12(value) ** whole)
    top = [pairing.MODULUS - 1] * 12
    assert pairing.multiply(top, top) == coefficients(FQ12(top) * FQ12(top))


def test_it_is_linear_in_both() -> None:
    a, b = RANDOM.randrange(pairing.ORDER), RANDOM.randrange(pairing.ORDER)
    assert holds((a, b), (-a * b, 1))
    assert holds((a, b), (1, -a * b))
    assert holds((a, 1), (b, 1), (1, -a - b))
    assert not holds((a, b), (-a * b + 1, 1))
    assert not holds((a, b))
    assert not holds((1, 1), (1, 1))


def test_infinity_counts_as_one() -> None:
    assert holds()
    assert holds((0, 5))
    assert holds((5, 0), (0, 0))
    assert not holds((5, 0), (1, 1))


def test_points_outside_the_groups_are_refused() -> None:
    good = first_group(3) + second_group(4)
    for at in (31, 63, 95, 127, 159, 191):
        bad = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
        with pytest.raises(PrecompileFailed, match="curve"):
            bn128.pair(bad)
    with pytest.raises(PrecompileFailed, match="modulus"):
        bn128.pair(word(pairing.MODULUS + 1) + good[32:])


def test_a_point_of_the_twist_with_another_order_is_refused() -> None:
    """The first x from 1 on at which the twist has a point; hardly any is of the right order."""
    point = next(filter(None, (lift(x) for x in range(1, 20))))
    assert curve.is_on_curve((*map(curve.FQ2, point), curve.FQ2.one()), curve.b2)
    data = first_group(1) + b"".join(word(c) for pair in point for c in pair[::-1])
    with pytest.raises(PrecompileFailed, match="subgroup"):
        bn128.pair(data)


def lift(x: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The point of the twist at the real number x; None where there is none."""
    square = curve.FQ2([x, 0]) ** 3 + curve.b2
    # p = 3 modulo 4: a square root in the field of degree two (Adj and Rodriguez-Henriquez).
    half = square ** ((pairing.MODULUS - 3) // 4)
    ratio, root = half * half * square, half * square
    if ratio == curve.FQ2([-1, 0]):
        root = curve.FQ2([0, 1]) * root
    else:
        root = (curve.FQ2.one() + ratio) ** ((pairing.MODULUS - 1) // 2) * root
    a, b = (int(c) for c in root.coeffs)
    return ((x, 0), (a, b)) if root * root == square else None
