"""Random code never breaks the machine, and never has more than its gas pays for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from node.spec.vm.frame import Frame
from tests.node.spec.vm.bench import CALLER, CONTRACT, Bench, push

GAS = 200_000
#: Memory whose price is all the gas.
MEMORY_LIMIT_BYTES = 32 * 10_000

opcodes = st.integers(0, 255).map(lambda opcode: bytes((opcode,)))
numbers = st.one_of(
    st.integers(0, 80), st.sampled_from([2**64 - 1, 2**64, 2**255, 2**256 - 1])
).map(push)
targets = st.sampled_from([CONTRACT, CALLER, bytes(19) + b"\2", bytes(19) + b"\5"]).map(
    lambda address: push(int.from_bytes(address, "big"))
)
programs = st.lists(st.one_of(numbers, numbers, targets, opcodes), max_size=60).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(code=programs, istanbul=st.booleans(), data=st.binary(max_size=40))
def test_random_code_ends_within_its_gas(code: bytes, istanbul: bool, data: bytes) -> None:
    bench = Bench()
    if istanbul:
        bench.number = bench.chain.istanbul_block + 1
    bench.state.set_balance(CONTRACT, 10)
    before = bench.state.get_balance(CONTRACT)
    outcome = bench.run(code or b"\0", gas=GAS, data=data)
    assert 0 <= outcome.gas_left <= GAS
    if outcome.error is not None:
        assert outcome.logs == ()
        assert outcome.refund == 0
        assert bench.state.get_balance(CONTRACT) == before


@settings(max_examples=200, deadline=None)
@given(code=programs)
def test_memory_is_bounded_by_gas(code: bytes) -> None:
    sizes: list[int] = []
    extend = Frame.allot_memory

    def measure(frame: Frame, end: int) -> None:
        extend(frame, end)
        sizes.append(len(frame.memory))

    Frame.allot_memory = measure  # type: ignore[method-assign]
    try:
        Bench().run(code or b"\0", gas=GAS)
    finally:
        Frame.allot_memory = extend  # type: ignore[method-assign]
    assert max(sizes, default=0) <= MEMORY_LIMIT_BYTES
