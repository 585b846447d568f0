"""The state: what is reverted, what is deleted, what the root depends on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.spec.crypto import EMPTY_CODE_HASH, EMPTY_ROOT, keccak
from node.spec.state import RIPEMD_ADDRESS, State
from node.spec.trie import MemoryStore, MissingNode

A, B = b"\xaa" * 20, b"\xbb" * 20


@pytest.fixture
def state() -> State:
    return State(MemoryStore())


def test_everything_survives_the_store() -> None:
    store = MemoryStore()
    state = State(store)
    state.set_balance(A, 5)
    state.set_nonce(A, 2)
    state.set_code(A, b"\x60\x01")
    state.set_upload(A, 1000)
    state.set_num(A, 7)
    state.set_storage(A, 3, 2**255)
    again = State(store, state.root())
    assert (again.get_balance(A), again.get_nonce(A), again.get_code(A)) == (5, 2, b"\x60\x01")
    assert (again.get_upload(A), again.get_num(A), again.get_storage(A, 3)) == (1000, 7, 2**255)
    assert again.get_code_hash(A) == keccak(b"\x60\x01")
    assert again.root() == state.root()


def test_zero_in_a_slot_is_no_slot(state: State) -> None:
    state.set_balance(A, 1)
    before = state.root()
    state.set_storage(A, 1, 9)
    assert state.root() != before
    state.set_storage(A, 1, 0)
    assert state.root() == before


def test_revert_undoes_all_since_the_snapshot(state: State) -> None:
    state.set_balance(A, 1)
    state.set_storage(A, 1, 11)
    before = state.root()
    mark = state.snapshot()
    state.add_balance(A, 5)
    state.set_code(A, b"code")
    state.set_storage(A, 1, 12)
    state.set_upload(A, 9)
    state.create_account(B)
    state.set_storage(B, 1, 1)
    inner = state.snapshot()
    state.delete_account(A)
    assert not state.exists(A)
    state.revert(inner)
    assert state.get_storage(A, 1) == 12
    state.revert(mark)
    assert state.root() == before
    assert state.get_code_hash(A) == EMPTY_CODE_HASH
    assert not state.exists(B)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["balance", "nonce", "storage", "code", "create", "delete", "touch"]),
        st.sampled_from([A, B]),
        st.integers(0, 3),
    ),
    max_size=12,
)


def _do(state: State, operation: tuple[str, bytes, int]) -> None:
    kind, address, number = operation
    match kind:
        case "balance":
            state.add_balance(address, number)
        case "nonce":
            state.set_nonce(address, number)
        case "storage":
            state.set_storage(address, number, number + 1)
        case "code":
            state.set_code(address, bytes(number))
        case "create":
            state.create_account(address)
        case "delete":
            state.delete_account(address)
        case _:
            state.touch(address)


@given(OPERATIONS, OPERATIONS, OPERATIONS)
@settings(max_examples=150, deadline=None)
def test_a_reverted_part_leaves_no_trace(
    before: list[tuple[str, bytes, int]],
    reverted: list[tuple[str, bytes, int]],
    after: list[tuple[str, bytes, int]],
) -> None:
    one, other = State(MemoryStore()), State(MemoryStore())
    for state in (one, other):
        for operation in before:
            _do(state, operation)
    mark = one.snapshot()
    for operation in reverted:
        _do(one, operation)
    one.revert(mark)
    for state in (one, other):
        for operation in after:
            _do(state, operation)
        state.end_transaction()
    assert one.root() == other.root()


def test_original_storage_is_that_of_the_transactions_start(state: State) -> None:
    state.set_balance(A, 1)
    state.set_storage(A, 1, 5)
    state.begin_transaction()
    state.set_storage(A, 1, 6)
    state.set_storage(A, 1, 7)
    assert state.get_original_storage(A, 1) == 5
    state.end_transaction()
    assert state.get_original_storage(A, 1) == 7


def test_the_end_of_a_transaction_deletes_touched_empty_accounts_alone(state: State) -> None:
    state.create_account(A)
    state.create_account(B)
    state.begin_transaction()
    state.touch(A)
    state.end_transaction()
    assert not state.exists(A)
    assert state.exists(B)


@pytest.mark.parametrize("field", ["upload", "num"])
def test_an_account_with_an_upload_is_not_empty(state: State, field: str) -> None:
    getattr(state, f"set_{field}")(A, 1)
    state.end_transaction()
    assert state.exists(A)


def test_a_reverted_touch_counts_for_ripemd_alone(state: State) -> None:
    for address in (A, RIPEMD_ADDRESS):
        state.create_account(address)
    state.begin_transaction()
    mark = state.snapshot()
    state.touch(A)
    state.touch(RIPEMD_ADDRESS)
    state.revert(mark)
    state.end_transaction()
    assert state.exists(A)
    assert not state.exists(RIPEMD_ADDRESS)


def test_a_deleted_accounts_storage_is_gone_when_it_returns(state: State) -> None:
    state.set_balance(A, 1)
    state.set_storage(A, 1, 5)
    state.root()
    state.delete_account(A)
    state.end_transaction()
    state.set_balance(A, 1)
    assert state.get_storage(A, 1) == 0


def test_balances_do_not_go_below_zero(state: State) -> None:
    with pytest.raises(ValueError, match="negative"):
        state.subtract_balance(A, 1)


def test_code_that_the_store_lacks_is_named() -> None:
    store = MemoryStore()
    state = State(store)
    state.set_code(A, b"code")
    root = state.root()
    del store[keccak(b"code")]
    with pytest.raises(MissingNode, match="code"):
        State(store, root).get_code(A)


def test_nothing_has_the_empty_root(state: State) -> None:
    assert state.root() == EMPTY_ROOT
