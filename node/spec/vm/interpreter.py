"""The readable interpreter: one operation after another, each as its function says.

It is the reference. `node.spec.vm.fast` runs the same code faster and is held to this.
"""

from __future__ import annotations

from collections.abc import Container

from node.spec.vm.context import Message
from node.spec.vm.errors import InvalidOpcode, OutOfGas, StackOverflow, StackUnderflow, VmError
from node.spec.vm.frame import Frame
from node.spec.vm.opcodes import operations


def interpret(frame: Frame, stops: Container[int] = ()) -> Message | None:
    """Run until the frame calls (its message is returned) or ends (None).

    ``stops`` are positions before which it also returns, once it has run an operation.
    """
    table, code, stack = operations(frame.machine.schedule), frame.code, frame.stack
    size = len(code)
    while frame.pc < size:
        opcode = code[frame.pc]
        operation = table[opcode]
        if operation is None:
            raise InvalidOpcode(opcode)
        least, most, gas, execute_operation = operation
        if not least <= len(stack) <= most:
            raise _stack_error(len(stack), least, most)
        if frame.gas < gas:
            raise OutOfGas
        frame.gas -= gas
        frame.pc += 1
        message = execute_operation(frame)
        if message is not None or frame.pc in stops:
            return message
    return None


def _stack_error(held: int, least: int, most: int) -> VmError:
    return StackUnderflow(held, least) if held < least else StackOverflow(held, most)
