"""0x01 to 0x0b: arithmetic modulo 2**256; division by zero gives zero."""

from __future__ import annotations

from node.spec.vm.frame import Frame
from node.spec.vm.schedule import EXP_BYTE_GAS, MAX_WORD

SIGN_BIT = 2**255


def to_signed(word: int) -> int:
    """A stack item as two's complement."""
    return word - 2**256 if word & SIGN_BIT else word


def add(frame: Frame) -> None:
    stack = frame.stack
    stack.append((stack.pop() + stack.pop()) & MAX_WORD)


def multiply(frame: Frame) -> None:
    stack = frame.stack
    stack.append((stack.pop() * stack.pop()) & MAX_WORD)


def subtract(frame: Frame) -> None:
    stack = frame.stack
    stack.append((stack.pop() - stack.pop()) & MAX_WORD)


def divide(frame: Frame) -> None:
    stack = frame.stack
    dividend, divisor = stack.pop(), stack.pop()
    stack.append(dividend // divisor if divisor else 0)


def divide_signed(frame: Frame) -> None:
    """Truncates towards zero."""
    stack = frame.stack
    dividend, divisor = to_signed(stack.pop()), to_signed(stack.pop())
    quotient = abs(dividend) // abs(divisor) if divisor else 0
    stack.append((-quotient if (dividend < 0) != (divisor < 0) else quotient) & MAX_WORD)


def modulo(frame: Frame) -> None:
    stack = frame.stack
    dividend, divisor = stack.pop(), stack.pop()
    stack.append(dividend % divisor if divisor else 0)


def modulo_signed(frame: Frame) -> None:
    """The result has the sign of the dividend."""
    stack = frame.stack
    dividend, divisor = to_signed(stack.pop()), to_signed(stack.pop())
    remainder = abs(dividend) % abs(divisor) if divisor else 0
    stack.append((-remainder if dividend < 0 else remainder) & MAX_WORD)


def add_modulo(frame: Frame) -> None:
    stack = frame.stack
    left, right, divisor = stack.pop(), stack.pop(), stack.pop()
    stack.append((left + right) % divisor if divisor else 0)


def multiply_modulo(frame: Frame) -> None:
    stack = frame.stack
    left, right, divisor = stack.pop(), stack.pop(), stack.pop()
    stack.append((left * right) % divisor if divisor else 0)


def exponentiate(frame: Frame) -> None:
    # stack
    base, exponent = frame.stack.pop(), frame.stack.pop()
    # gas
    frame.charge(EXP_BYTE_GAS * ((exponent.bit_length() + 7) // 8))
    # operation
    frame.stack.append(pow(base, exponent, 2**256))


def extend_sign(frame: Frame) -> None:
    """Widen a two's complement number whose highest byte is the given one."""
    stack = frame.stack
    byte, word = stack.pop(), stack.pop()
    if byte < 31:
        sign = 1 << (8 * byte + 7)
        word = (word | (MAX_WORD ^ (sign - 1))) if word & sign else word & (sign - 1)
    stack.append(word)
