"""The fast interpreter does exactly what the readable one does, for code of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.spec.vm import KernelFault, Message, Outcome, fast, interpreter
from node.spec.vm.context import InferRuntimeError
from node.spec.vm.fast.program import find_program
from node.spec.vm.frame import Frame, Interpret
from tests.node.spec.vm.bench import CALLER, CONTRACT, Bench, push
from tests.node.spec.vm.fast.programs import OTHER, PURE, make_program

GAS = 300_000
#: Endings of a program that ran to its end.
GOOD = ("NoneType", "Reverted")


def interpret_warily(frame: Frame) -> Message | None:
    """Compile what has run twice: the paths taken so far, with ways out of them."""
    return find_program(frame.code, frame.machine.schedule, patience=2).run(frame)


@dataclass(frozen=True)
class Run:
    """All that can be seen of an execution."""

    outcome: Outcome | None
    error: str
    root: bytes = field(repr=False)


@dataclass(frozen=True)
class Case:
    code: bytes
    other: bytes = b""
    data: bytes = b""
    gas: int = GAS
    istanbul: bool = True
    is_static: bool = False

    def run(self, interpret: Interpret) -> Run:
        bench = Bench(interpret=interpret)
        bench.number += self.istanbul and bench.chain.istanbul_block
        bench.put(self.other, OTHER)
        bench.state.set_balance(CONTRACT, 10)
        bench.state.set_storage(CONTRACT, 1, 7)
        error = ""
        outcome = None
        try:
            outcome = bench.run(
                self.code or b"\0", gas=self.gas, data=self.data, is_static=self.is_static
            )
            error = f"{type(outcome.error).__name__}: {outcome.error}"
        except (InferRuntimeError, KernelFault) as fault:
            error = repr(fault)
        return Run(outcome and _without_error(outcome), error, bench.state.root())


def _without_error(outcome: Outcome) -> Outcome:
    """Errors are compared by class and text."""
    return Outcome(**{**vars(outcome), "error": None})


def check(case: Case) -> Run:
    expected = case.run(interpreter.interpret)
    for interpret in (fast.interpret_compiled, interpret_warily, interpret_warily, fast.interpret):
        assert case.run(interpret) == expected, (case.code.hex(), interpret)
    return expected


opcodes = st.integers(0, 255).map(lambda opcode: bytes((opcode,)))
usual = st.sampled_from(
    [bytes((o,)) for o in (*range(0x01, 0x0C), *range(0x10, 0x1E), 0x20, *range(0x50, 0x5C))]
    + [bytes((o,)) for o in (*range(0x80, 0x88), *range(0x90, 0x97), 0xF3, 0xFD, 0xA1, 0x3E)]
)
numbers = st.one_of(
    st.integers(0, 80),
    st.sampled_from([2**8, 2**16, 2**64 - 1, 2**64, 2**160, 2**255 - 1, 2**255, 2**256 - 1]),
).map(push)
accounts = st.sampled_from([CONTRACT, CALLER, OTHER, *(bytes(19) + bytes((n,)) for n in (2, 5, 9))])
calls = st.builds(
    lambda opcode, account, gas, size: (
        push(size) * 4 + push(0) + push(int.from_bytes(account, "big")) + push(gas) + opcode
    ),
    st.sampled_from([b"\xf1", b"\xf2", b"\xf4", b"\xfa", b"\xf0", b"\xf5"]),
    accounts,
    st.sampled_from([0, 100, 5_000, 2**255]),
    st.integers(0, 70),
)
#: Back or forth by less than a program's length: often a JUMPDEST, often not.
jumps = st.builds(
    lambda target, opcode: push(target, 1) + opcode,
    st.integers(0, 60),
    st.sampled_from([b"\x56", b"\x57", b"\x5b"]),
)
pieces = st.one_of(usual, usual, usual, numbers, numbers, opcodes, calls, jumps)
programs = st.lists(pieces, max_size=50).map(b"".join)


@st.composite
def loops(draw: st.DrawFn) -> bytes:
    """A counted loop around random code, in a block or two, perhaps with a loop inside."""
    body = draw(st.lists(st.one_of(usual, numbers, numbers), max_size=12).map(b"".join))
    start = push(draw(st.integers(1, 40)), 1) + draw(st.lists(numbers, max_size=5).map(b"".join))
    head = bytes((len(start),))
    middle = draw(st.sampled_from([b"", b"\x5b", b"\x80\x15\x60\x00\x57", b"\x5b\x5b"]))
    down = b"\x60\x01\x90\x03\x80\x60" + head + b"\x57"
    return start + b"\x5b" + body + middle + down + draw(st.sampled_from([b"", b"\x00", b"\x5b"]))


cases = st.builds(
    Case,
    code=st.one_of(programs, loops()),
    other=programs,
    data=st.binary(max_size=70),
    gas=st.one_of(st.just(GAS), st.integers(0, 3_000), st.integers(0, GAS)),
    istanbul=st.booleans(),
    is_static=st.sampled_from([False, False, False, True]),
)


working = st.builds(
    Case,
    code=st.randoms(use_true_random=False).map(make_program),
    other=st.one_of(st.just(b""), st.randoms(use_true_random=False).map(make_program)),
    data=st.binary(max_size=70),
    gas=st.one_of(st.just(GAS), st.integers(0, 20_000)),
    is_static=st.sampled_from([False, False, False, True]),
)


@settings(max_examples=150, deadline=None)
@given(case=working)
def test_programs_that_work(case: Case) -> None:
    check(case)


def test_most_of_them_do_work() -> None:
    runs = [check(Case(make_program(Random(seed)))) for seed in range(60)]
    assert sum(run.outcome is not None and run.error.startswith(GOOD) for run in runs) > 40
    assert sum(bool(run.outcome and any(run.outcome.output)) for run in runs) > 25


@pytest.mark.slow
@pytest.mark.timeout(7200)
@settings(max_examples=8_000, deadline=None)
@given(case=working)
def test_many_programs_that_work(case: Case) -> None:
    check(case)


@settings(max_examples=250, deadline=None)
@given(case=cases)
def test_generated_code(case: Case) -> None:
    check(case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=8_000, deadline=None)
@given(case=cases)
def test_much_generated_code(case: Case) -> None:
    check(case)


EDGES = (0, 1, 2, 31, 255, 256, 2**255 - 1, 2**255, 2**256 - 1)
RETURN = bytes.fromhex("60005260206000f3")


@pytest.mark.parametrize(
    ("opcode", "pops"), [(o, pops) for pops, row in PURE.items() for o in (*row, 0x0A) if o != 0x35]
)
def test_operations_at_their_edges(opcode: int, pops: int) -> None:
    """With operands that are not known when it is compiled, and with such that are."""
    pops = 2 if opcode == 0x0A else pops
    loads = b"".join(push(32 * index) + b"\x35" for index in reversed(range(pops)))
    for operands in product(EDGES if pops < 3 else EDGES[1::2], repeat=pops):
        data = b"".join(operand.to_bytes(32, "big") for operand in operands)
        pushes = b"".join(map(push, reversed(operands)))
        end = bytes((opcode,)) + RETURN
        for case in (Case(loads + end, data=data), Case(pushes + end)):
            assert case.run(interpreter.interpret) == case.run(fast.interpret_compiled)


@pytest.mark.parametrize(
    "first",
    [
        "60016000600060003e",  # RETURNDATACOPY beyond its end
        "600160005560005450",  # SSTORE, which a static frame refuses
        "60006000a0",  # LOG0, which a static frame refuses
        "6001600060003e",
        "5a5a015a0160005250",  # GAS in the middle of a stretch
        "60ff60005260206000205060005150",
        "60ff56",
        "600160ff57",
    ],
)
def test_which_error_comes_first(first: str) -> None:
    """Gas runs out before, in and after each operation of a stretch."""
    code = bytes.fromhex(first) + push(1) * 9 + b"\x01" * 8 + RETURN
    for gas in (*range(0, 120, 2), *range(20, 60, 2), *range(800, 880, 7), 20_100):
        for is_static in (False, True):
            check(Case(code, gas=gas, is_static=is_static))


@pytest.mark.parametrize("gas", [*range(0, 400, 7), *range(400, 60_000, 997)])
def test_gas_running_out_anywhere(gas: int) -> None:
    """Loop, memory, hash and storage; the end comes at the same operation."""
    body = "8060005260206000208155"
    check(Case(bytes.fromhex("6009" + "5b" + body + "6001900380600257" + "00"), gas=gas))
