"""Operations as Python expressions; those that are not here are called as functions.

``{0}`` is the top of the stack, ``{1}`` the item below it.
"""

from __future__ import annotations

from node.spec.vm.schedule import MAX_WORD

_MAX, _SIGN = hex(MAX_WORD), hex(2**255)

#: Opcode to an expression whose value is pushed.
EXPRESSIONS = {
    0x01: f"({{0}} + {{1}}) & {_MAX}",
    0x02: f"({{0}} * {{1}}) & {_MAX}",
    0x03: f"({{0}} - {{1}}) & {_MAX}",
    0x04: "{0} // {1} if {1} else 0",
    0x06: "{0} % {1} if {1} else 0",
    0x08: "({0} + {1}) % {2} if {2} else 0",
    0x09: "({0} * {1}) % {2} if {2} else 0",
    0x16: "{0} & {1}",
    0x17: "{0} | {1}",
    0x18: "{0} ^ {1}",
    0x19: f"{_MAX} ^ {{0}}",
    0x1A: "({1} >> (248 - 8 * {0})) & 255 if {0} < 32 else 0",
    0x1B: f"({{1}} << {{0}}) & {_MAX} if {{0}} < 256 else 0",
    0x1C: "{1} >> {0} if {0} < 256 else 0",
    0x30: "from_bytes(address)",
    0x32: "from_bytes(frame.machine.transaction.origin)",
    0x33: "from_bytes(frame.message.caller)",
    0x34: "frame.message.value",
    0x35: "from_bytes(data[{0}:{0} + 32].ljust(32, b'\\0'))",
    0x36: "len(data)",
    0x3D: "len(frame.return_data)",
    0x54: "load(address, {0})",
    0x59: "len(memory)",
}

#: Opcode to an expression that is true or not.
CONDITIONS = {
    0x10: "{0} < {1}",
    0x11: "{0} > {1}",
    0x12: f"{{0}} ^ {_SIGN} < {{1}} ^ {_SIGN}",
    0x13: f"{{0}} ^ {_SIGN} > {{1}} ^ {_SIGN}",
    0x14: "{0} == {1}",
}

#: Operations after which a new stretch of gas begins: they see what gas is left, or may fail for
#: another reason than gas. SSTORE, RETURNDATACOPY, LOG0 to LOG4.
BARRIERS = frozenset((0x55, 0x3E, *range(0xA0, 0xA5)))

#: Operations that end the frame: STOP, RETURN, REVERT, SELFDESTRUCT.
ENDINGS = frozenset((0x00, 0xF3, 0xFD, 0xFF))

#: Operations that hand a message to the machine: CREATE, CALL, CALLCODE, DELEGATECALL, CREATE2,
#: STATICCALL.
CALLS = frozenset((0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA))

#: Operations left to the readable interpreter: INFER and INFERARRAY, which pop more than they
#: are checked for.
RARE = frozenset((0xC0, 0xC1))

DUP1, DUP16, SWAP1, SWAP16 = 0x80, 0x8F, 0x90, 0x9F

#: Variables of a trace, set at its start where they are used.
VARIABLES = {
    "memory": "frame.memory",
    "extend": "frame.extend_memory",
    "from_bytes": "int.from_bytes",
    "address": "frame.address",
    "data": "frame.data",
    "load": "frame.machine.state.get_storage",
}
