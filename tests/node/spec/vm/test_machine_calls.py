"""Calls: depth, gas, value, static frames, undone effects."""

from __future__ import annotations

from node.spec.vm.errors import (
    InvalidJump,
    InvalidOpcode,
    Reverted,
    StackOverflow,
    StackUnderflow,
    WriteProtection,
)
from tests.node.spec.vm.bench import CALLER, CONTRACT, Bench, answer, push

CALL_SELF = push(0) * 5 + b"\x30\x5a\xf1"
STORE = push(1) + push(0) + b"\x55"


def test_a_call_of_itself_goes_1024_deep():
    """Each level notes its depth by counting in storage."""
    count = push(0) + b"\x54" + push(1) + b"\x01" + push(0) + b"\x55"
    bench = Bench()
    outcome = bench.run(count + CALL_SELF, gas=10**15)
    assert outcome.error is None
    assert bench.state.get_storage(CONTRACT, 0) == 1_025


def test_a_call_gets_at_most_63_of_64_parts():
    bench = Bench()
    other = bench.put(answer(b"\x5a"), b"\x0e" * 20)
    call = push(32) + push(0) * 4 + push(int.from_bytes(other, "big")) + b"\x5a\xf1"
    outcome = bench.run(call + push(32) + push(0) + b"\xf3", gas=64_000 + 723)
    assert int.from_bytes(outcome.output, "big") == 64_000 - 64_000 // 64 - 2


def test_a_failed_call_leaves_no_trace():
    bench = Bench()
    other = bench.put(STORE + b"\xa0" + b"\xfe", b"\x0e" * 20)
    call = push(0) * 5 + push(int.from_bytes(other, "big")) + push(60_000) + b"\xf1"
    outcome = bench.run(answer(call))
    assert int.from_bytes(outcome.output, "big") == 0
    assert bench.state.get_storage(other, 0) == 0
    assert outcome.logs == ()


def test_a_revert_gives_gas_and_data_back():
    bench = Bench()
    outcome = bench.run(STORE + push(32) + push(0) + b"\xfd")
    assert isinstance(outcome.error, Reverted)
    assert outcome.output == bytes(32)
    assert 0 < outcome.gas_left < 1_000_000
    assert bench.state.get_storage(CONTRACT, 0) == 0


def test_a_static_call_may_not_write():
    bench = Bench()
    assert isinstance(bench.run(STORE, is_static=True).error, WriteProtection)
    assert isinstance(bench.run("60006000a0", is_static=True).error, WriteProtection)
    assert isinstance(bench.run("6000ff", is_static=True).error, WriteProtection)
    assert isinstance(bench.run("600060006000f0", is_static=True).error, WriteProtection)


def test_self_destruction_moves_the_balance_once():
    bench = Bench()
    bench.state.set_balance(CONTRACT, 5)
    outcome = bench.run(push(int.from_bytes(CALLER, "big")) + b"\xff")
    assert outcome.deleted == {CONTRACT}
    assert outcome.refund == 24_000
    assert bench.state.get_balance(CALLER) == 5


def test_bad_code_fails_for_its_reason():
    bench = Bench()
    for code, error in (
        ("01", StackUnderflow),
        ("600056", InvalidJump),
        ("6001600357605b", InvalidJump),
        ("fe", InvalidOpcode),
        (bytes.fromhex("5b6000600056"), StackOverflow),
    ):
        outcome = bench.run(code)
        assert isinstance(outcome.error, error), code
        assert outcome.gas_left == 0
