"""The assembler, and the contract that it makes, on the real machine."""

from __future__ import annotations

import pytest

from farmctl.errors import BadRequest
from farmctl.tour.assembler import assemble, deploy


def test_code_is_as_the_opcodes_have_it() -> None:
    source = """
        PUSH 0x1ff PUSH 0 MSTORE   ; comments and lines end alike
        @end JUMP
        INVALID_NEVER_REACHED:
    end: STOP
    """
    assert assemble(source).hex() == "6101ff60005261000b565b5b00"


def test_deployment_copies_the_runtime_whatever_its_length() -> None:
    for size in (1, 255, 256, 70_000):
        runtime = bytes(i % 251 for i in range(size))
        code = deploy(runtime)
        width = max(1, -(-size.bit_length() // 8))
        assert code[0] == 0x5F + width and int.from_bytes(code[1 : 1 + width], "big") == size
        start = code[width + 3]  # DUP1, PUSH1, start
        assert (code[width + 1], code[width + 2], start) == (0x80, 0x60, len(code) - size)
        assert code[start:] == runtime


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("FLY", "'FLY' is no operation"),
        ("PUSH", "PUSH takes a number, not ''"),
        ("PUSH -1", "PUSH takes 0"),
        ("PUSH1", "'PUSH1' is no operation"),
        ("@nowhere JUMP", "no label 'nowhere'"),
    ],
)
def test_nonsense_is_named(source: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        assemble(source)
