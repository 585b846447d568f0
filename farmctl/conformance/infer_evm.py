"""INFER and INFERARRAY by a contract: result, gas, errors and the authors' shares.

The models are those of ``cvm_models.json`` in the same folder. A model's infohash is the end of
the hash of its name; its input's that of the name and ``input``, and the bytes are those of its
first case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from farmctl.conformance import Case, differs, integer, judge, unhex
from farmctl.conformance._engine import Engine
from farmctl.conformance._machine import NoModels, mainnet_block, new_state, short_address
from node.spec import cvm
from node.spec.crypto import keccak
from node.spec.cvm import CvmError, Graph, load
from node.spec.cvm.words import to_contract_form, to_kernel_form
from node.spec.state import State
from node.spec.vm import (
    InferRuntimeError,
    KernelFault,
    Message,
    Outcome,
    TransactionContext,
    execute,
    fast,
)
from node.spec.vm.frame import Interpret

COMPANIONS = ("cvm_models",)

CALLER, CONTRACT = short_address(0xF00D), short_address(0xC0DE)
MODEL, INPUT = short_address(0x1001), short_address(0x2001)
RUNTIME_ERROR = "cvm kernel runtime error"


class VectorModels(NoModels):
    """Inference with the models of the vectors, by an engine."""

    def __init__(self, cases: Iterable[dict[str, Any]], engine: Engine) -> None:
        self._engine = engine
        self._graphs: dict[bytes, Graph] = {}
        self._inputs: dict[bytes, bytes] = {}
        for case in cases:
            name = case["name"].encode()
            graph = load(case["symbol"].encode(), unhex(case["params_hex"]))
            self._graphs[keccak(name)[12:]] = graph
            self._inputs[keccak(name + b"input")[12:]] = unhex(case["cases"][0]["infer_input_hex"])

    def operations(self, model: bytes, raw_size: int) -> int:
        return self._graph(model).operations()

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        if infohash not in self._inputs:
            return super().input_data(infohash, raw_size)
        return self._inputs[infohash]

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        graph = self._graph(model)
        try:
            return to_contract_form(graph, self._engine(graph, to_kernel_form(graph, data)))
        except CvmError as error:
            # The network's node turns each failure of a run into its runtime error.
            raise KernelFault(str(error)) from error

    def _graph(self, model: bytes) -> Graph:
        if model not in self._graphs:
            raise InferRuntimeError(f"no files of model {model.hex()}")
        return self._graphs[model]


def run(
    data: Any,
    models: Any,
    interpret: Interpret = fast.interpret,
    engine: Engine = cvm.run,
) -> Iterable[Case]:
    inference = VectorModels(models["cases"], engine)
    for case in data["cases"]:
        check = partial(_check, case, inference, interpret)
        yield judge(f"{case['Case']}: {case['Model']}", check)


def _check(case: dict[str, Any], inference: VectorModels, interpret: Interpret) -> Iterator[str]:
    gas = integer(case["GasLimit"])
    block = mainnet_block(integer(case["BlockNumber"]))
    message = Message(CALLER, CONTRACT, 0, b"", gas)
    try:
        transaction = TransactionContext(CALLER, 1)
        outcome = execute(_state(case), block, transaction, message, inference, interpret)
    except InferRuntimeError:
        yield from differs("the error", case["Error"], RUNTIME_ERROR)
        return
    yield from differs("gas used", integer(case["GasUsed"]), gas - outcome.gas_left)
    yield from differs("the result", unhex(case["Return"]), outcome.output)
    yield from differs("the error", case["Error"], str(outcome.error or ""))
    yield from _check_authors(case["ModelAuthorGas"], outcome)


def _check_authors(expected: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    gas = {unhex(address): integer(amount) for address, amount in expected.items()}
    yield from differs("the authors' gas", gas, dict(outcome.author_gas))


def _state(case: dict[str, Any]) -> State:
    state = new_state()
    state.set_code(CONTRACT, unhex(case["ContractCode"]))
    for address, code in ((MODEL, case["ModelMetaCode"]), (INPUT, case["InputMetaCode"])):
        state.set_code(address, unhex(code))
        state.set_num(address, integer(case["ModelNum"]))
    state.set_upload(MODEL, integer(case["ModelUpload"]))
    words = unhex(case["InputStorageWords"])
    state.set_storage(CONTRACT, 0, len(words) // 32)
    first = int.from_bytes(keccak(bytes(32)), "big")
    for index in range(len(words) // 32):
        word = words[32 * index : 32 * index + 32]
        state.set_storage(CONTRACT, first + index, int.from_bytes(word, "big"))
    state.begin_transaction()
    return state
