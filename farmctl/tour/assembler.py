"""A small assembler for the machine's code: names of operations, labels, and ``;`` comments.

``PUSH 300`` takes as many bytes as the number needs; ``name:`` is a place to jump to (a
JUMPDEST), and ``@name`` pushes it, always in two bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from farmctl.errors import BadRequest
from node.spec.chain import VmParameters
from node.spec.vm.opcodes import opcodes
from node.spec.vm.schedule import Schedule

OPCODES = opcodes(Schedule(VmParameters(), istanbul=True))
LABEL_BYTES = 2


def assemble(source: str) -> bytes:
    """Code of a program. Raises `BadRequest` naming what cannot be understood."""
    code, places, gaps = bytearray(), {}, {}
    tokens = _tokens(source)
    for token in tokens:
        if token.endswith(":"):
            places[token[:-1]] = len(code)
            code.append(OPCODES["JUMPDEST"])
        elif token.startswith("@"):
            code += _push(0, LABEL_BYTES)
            gaps[len(code) - LABEL_BYTES] = token[1:]
        elif token == "PUSH":
            code += _push(_number(next(tokens, "")))
        elif token in OPCODES and not token.startswith("PUSH"):
            code.append(OPCODES[token])
        else:
            raise BadRequest(f"{token!r} is no operation, no @label and no label:")
    for position, name in gaps.items():
        if name not in places:
            raise BadRequest(f"there is no label {name!r}")
        code[position : position + LABEL_BYTES] = places[name].to_bytes(LABEL_BYTES, "big")
    return bytes(code)


def deploy(runtime: bytes) -> bytes:
    """Code of a creation that leaves ``runtime`` as the contract's."""
    start = len(_constructor(len(runtime), 0))  # 0 takes as many bytes as the true start
    return _constructor(len(runtime), start) + runtime


def _constructor(size: int, start: int) -> bytes:
    return assemble(f"PUSH {size} DUP1 PUSH {start} PUSH 0 CODECOPY PUSH 0 RETURN")


def _tokens(source: str) -> Iterator[str]:
    for line in source.splitlines():
        yield from line.partition(";")[0].split()


def _number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        raise BadRequest(f"PUSH takes a number, not {text!r}") from None
    if not 0 <= number < 1 << 256:
        raise BadRequest(f"PUSH takes 0 … 2^256 - 1, not {text}")
    return number


def _push(number: int, width: int = 0) -> bytes:
    width = width or max(1, -(-number.bit_length() // 8))
    return bytes([OPCODES[f"PUSH{width}"]]) + number.to_bytes(width, "big")
