"""The fast interpreter: code that runs often becomes Python functions.

A **trace** is a path through the code, from one position on, along the jumps that have been taken
before (`tracing`). It is written as one Python function: gas summed over whole stretches, stack
items as local variables, a jump back to its start as a loop. Code is interpreted until a position
has been entered often enough, so that compiling never costs more than a few runs (`program`).
Wherever a trace does not fit (gas is short, the stack too high or too low, a rare operation), the
readable interpreter goes on from there; what it does is the law, down to the error.
"""

from __future__ import annotations

from node.spec.vm.context import Message
from node.spec.vm.fast.program import find_program
from node.spec.vm.frame import Frame


def interpret(frame: Frame) -> Message | None:
    """Run until the frame calls (its message is returned) or ends (None)."""
    return find_program(frame.code, frame.machine.schedule).run(frame)


def interpret_compiled(frame: Frame) -> Message | None:
    """The same, and compile all code before it first runs: to check what is compiled."""
    return find_program(frame.code, frame.machine.schedule, patience=0).run(frame)
