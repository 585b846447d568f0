"""The optimal ate pairing on BN128, for products of pairings that should be one.

Fields are towers over integers below `MODULUS`: i**2 = -1; w**6 = 9 + i. An element of the second
is (a, b) for a + b*i, one of the twelfth its 12 coefficients of w**0 to w**11, where i is
w**6 - 9. Those are multiplied as one long integer each (Kronecker), which Python does in C.

Sources: EIP-197; Vercauteren, Optimal pairings (2008); Beuchat et al., High-speed software
implementation of the optimal ate pairing over Barreto-Naehrig curves (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

Two = tuple[int, int]
Twelve = list[int]
#: A point of G2 on the twist, or None at infinity.
TwistPoint = tuple[Two, Two] | None

#: The curve's parameter, and what follows from it: the field's modulus and the groups' order.
U = 4965661367192848881
MODULUS = 36 * U**4 + 36 * U**3 + 24 * U**2 + 6 * U + 1
ORDER = 36 * U**4 + 36 * U**3 + 18 * U**2 + 6 * U + 1
#: Of 6u + 2, without the first.
LOOP_BITS = bin(6 * U + 2)[3:]
ONE: Twelve = [1, *[0] * 11]
#: A product of two elements has coefficients below 12 * MODULUS**2.
_SLOT_BYTES = 64


def is_product_one(pairs: Sequence[tuple[tuple[int, int], tuple[Two, Two]]]) -> bool:
    """Whether the product of the pairings of all (G1, G2) is one; no point is at infinity."""
    value = ONE
    points: list[TwistPoint] = [twist for _, twist in pairs]
    for bit in LOOP_BITS:
        value = multiply(value, value)
        for index, (place, twist) in enumerate(pairs):
            line, points[index] = _step(points[index], points[index], place)
            value = multiply(value, line)
            if bit == "1":
                line, points[index] = _step(points[index], twist, place)
                value = multiply(value, line)
    for point, (place, twist) in zip(points, pairs, strict=True):
        first = frobenius_twist(twist)
        x, y = frobenius_twist(first)
        line, point = _step(point, first, place)
        value = multiply(value, line)
        value = multiply(value, _step(point, (x, _negative(y)), place)[0])
    return _final(value) == ONE


def is_in_subgroup(point: tuple[Two, Two]) -> bool:
    """Whether a point of the twist has the order of the pairing's groups."""
    total: TwistPoint = None
    for bit in bin(ORDER)[2:]:
        total = add_twist(total, total)
        if bit == "1":
            total = add_twist(total, point)
    return total is None


# The twist


def add_twist(left: TwistPoint, right: TwistPoint) -> TwistPoint:
    if left is None or right is None:
        return right if left is None else left
    slope = _slope(left, right)
    return None if slope is None else _third(left, right, slope)


def frobenius_twist(point: tuple[Two, Two]) -> tuple[Two, Two]:
    (x, y), powers = point, _gammas()
    return _times((x[0], -x[1]), powers[2]), _times((y[0], -y[1]), powers[3])


def _step(left: TwistPoint, right: TwistPoint, place: tuple[int, int]) -> tuple[Twelve, TwistPoint]:
    """The line through two points of the twist at a point of G1, and the points' sum."""
    # Points of the right order meet neither infinity nor their negative before the loop's end.
    if left is None or right is None or (slope := _slope(left, right)) is None:
        raise ArithmeticError("a point is not of the pairing's order")
    (x, y), (at_x, at_y) = left, place
    rise = _times(slope, x)
    constant = (rise[0] - y[0], rise[1] - y[1])
    line = [0] * 12
    line[0] = at_y
    for power, (a, b) in ((1, (-slope[0] * at_x, -slope[1] * at_x)), (3, constant)):
        line[power] = (a - 9 * b) % MODULUS
        line[power + 6] = b % MODULUS
    return line, _third(left, right, slope)


def _slope(left: tuple[Two, Two], right: tuple[Two, Two]) -> Two | None:
    """Of the line through two points, or of the tangent; None where it is vertical."""
    (x, y), (other_x, other_y) = left, right
    if x != other_x:
        rise, run = (y[0] - other_y[0], y[1] - other_y[1]), (x[0] - other_x[0], x[1] - other_x[1])
    elif y == other_y and y != (0, 0):
        square = _times(x, x)
        rise, run = (3 * square[0], 3 * square[1]), (2 * y[0], 2 * y[1])
    else:
        return None
    return _times(rise, _inverse(run))


def _third(left: tuple[Two, Two], right: tuple[Two, Two], slope: Two) -> tuple[Two, Two]:
    (x, y), (other_x, _) = left, right
    square = _times(slope, slope)
    new_x = tuple((s - a - b) % MODULUS for s, a, b in zip(square, x, other_x, strict=True))
    drop = _times(slope, (x[0] - new_x[0], x[1] - new_x[1]))
    return (new_x[0], new_x[1]), ((drop[0] - y[0]) % MODULUS, (drop[1] - y[1]) % MODULUS)


def _times(left: Two, right: Two) -> Two:
    (a, b), (c, d) = left, right
    return (a * c - b * d) % MODULUS, (a * d + b * c) % MODULUS


def _negative(value: Two) -> Two:
    return -value[0] % MODULUS, -value[1] % MODULUS


def _inverse(value: Two) -> Two:
    a, b = value
    inverse = pow(a * a + b * b, -1, MODULUS)
    return a * inverse % MODULUS, -b * inverse % MODULUS


# The field of degree twelve


def multiply(left: Twelve, right: Twelve) -> Twelve:
    product = _pack(left) * _pack(right)
    size = 23 * _SLOT_BYTES
    packed = product.to_bytes(size, "little")
    slots = range(0, size, _SLOT_BYTES)
    return _reduce([int.from_bytes(packed[i : i + _SLOT_BYTES], "little") for i in slots])


def _pack(value: Twelve) -> int:
    return int.from_bytes(b"".join(c.to_bytes(_SLOT_BYTES, "little") for c in value), "little")


def _reduce(coefficients: list[int]) -> Twelve:
    """Modulo w**12 - 18 * w**6 + 82."""
    for power in range(len(coefficients) - 1, 11, -1):
        coefficients[power - 6] += 18 * coefficients[power]
        coefficients[power - 12] -= 82 * coefficients[power]
    return [c % MODULUS for c in coefficients[:12]]


def frobenius(value: Twelve) -> Twelve:
    """The power with the exponent `MODULUS`."""
    powers, moved = _gammas(), [0] * 18
    for power, coefficient in enumerate(value):
        a, b = powers[power]
        moved[power] += coefficient * (a - 9 * b)
        moved[power + 6] += coefficient * b
    return _reduce(moved)


@cache
def _gammas() -> tuple[Two, ...]:
    """Powers 0 to 11 of (9 + i) ** ((MODULUS - 1) / 6), which is w ** (MODULUS - 1)."""
    gamma: Two = (1, 0)
    for bit in bin((MODULUS - 1) // 6)[2:]:
        gamma = _times(gamma, gamma)
        if bit == "1":
            gamma = _times(gamma, (9, 1))
    powers: list[Two] = [(1, 0)]
    for _ in range(11):
        powers.append(_times(powers[-1], gamma))
    return tuple(powers)


def _conjugate(value: Twelve) -> Twelve:
    """The power with ``MODULUS**6``."""
    return [-c % MODULUS if power & 1 else c for power, c in enumerate(value)]


def invert(value: Twelve) -> Twelve:
    """One divided by a value, by its norms in the fields of degree six and two."""
    norm = multiply(value, _conjugate(value))
    second = frobenius(frobenius(norm))
    others = multiply(second, frobenius(frobenius(second)))
    whole = multiply(norm, others)
    a, b = _inverse((whole[0] + 9 * whole[6], whole[6]))
    scale = [(a - 9 * b) % MODULUS, *[0] * 5, b, *[0] * 5]
    return multiply(multiply(_conjugate(value), others), scale)


def _final(value: Twelve) -> Twelve:
    """The power with the exponent (MODULUS**12 - 1) / ORDER."""
    unitary = multiply(_conjugate(value), invert(value))
    unitary = multiply(frobenius(frobenius(unitary)), unitary)
    return _hard_power(unitary)


def _hard_power(value: Twelve) -> Twelve:
    """The power with (MODULUS**4 - MODULUS**2 + 1) / ORDER, by its digits to the base MODULUS.

    ``table`` has the products of the value's Frobenius images by the bits of the index.
    """
    exponent, digits = (MODULUS**4 - MODULUS**2 + 1) // ORDER, []
    table = [ONE]
    while exponent:
        exponent, digit = divmod(exponent, MODULUS)
        digits.append(digit)
        table += [multiply(entry, value) for entry in table]
        value = frobenius(value)
    power = ONE
    for bit in range(max(digits).bit_length() - 1, -1, -1):
        power = multiply(power, power)
        index = sum((digit >> bit & 1) << place for place, digit in enumerate(digits))
        power = multiply(power, table[index]) if index else power
    return power
