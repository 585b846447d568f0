"""The official vectors with the service in the place of the node's own inference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farmctl.conformance import infer_evm
from node.models.input_file import write_input
from node.spec.crypto import keccak
from node.spec.cvm import load
from node.spec.vm import InferRuntimeError
from node.spec.vm.context import InferLogicError
from tests.node.synapse.go_client import GoClient, LogicError, RuntimeError_
from tests.node.synapse.running import Running, running

BY_HASH = b"by the hash of "


def vectors(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("models")) as found:
        yield found


class RemoteModels:
    """`Infer` of a machine whose node is started with remote inference. The vectors name contents
    by hashes of their own; what is asked for has real infohashes."""

    def __init__(self, cases: list[Any], served: Running, client: GoClient) -> None:
        self._client = client
        self._real: dict[bytes, bytes] = {}
        for case in cases:
            name, put = case["name"].encode(), served.storage
            symbol, parameters = case["symbol"].encode(), bytes.fromhex(case["params_hex"])
            self._real[keccak(name)[12:]] = put.put_model(symbol, parameters)
            content = bytes.fromhex(case["cases"][0]["infer_input_hex"])
            kind = load(symbol, parameters).input_type
            file = write_input(np.frombuffer(content, kind))
            self._real[keccak(name + b"input")[12:]] = put.put_input(file)

    def operations(self, model: bytes, raw_size: int) -> int:
        return int(self._ask(lambda: self._client.gas(self._find(model))))

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return BY_HASH + self._find(infohash)

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        if data.startswith(BY_HASH):
            name = data.removeprefix(BY_HASH)
            return self._ask(lambda: self._client.infer_by_hash(self._find(model), name))
        return self._ask(lambda: self._client.infer_by_content(self._find(model), data))

    def _find(self, infohash: bytes) -> bytes:
        return self._real.get(infohash, infohash)

    def _ask(self, ask: Any) -> Any:
        try:
            return ask()
        except LogicError as error:
            raise InferLogicError from error
        except RuntimeError_ as error:
            raise InferRuntimeError(str(error)) from error


def test_every_model_and_case(served: Running, vector_folder: Path) -> None:
    done = 0
    with GoClient(served.port) as client:
        for case in vectors(vector_folder, "cvm_models")["cases"]:
            model = served.storage.put_model(
                case["symbol"].encode(), bytes.fromhex(case["params_hex"])
            )
            assert client.gas(model) == int(case["gas_from_graph"]), case["name"]
            for each in case["cases"]:
                answer = client.infer_by_content(model, bytes.fromhex(each["infer_input_hex"]))
                assert answer.hex() == each["infer_result_hex"], case["name"]
                done += 1
    assert done > 4


def test_contracts_meet_the_service(
    served: Running, vector_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INFER and INFERARRAY, results, gas and errors, all by way of the service."""
    with GoClient(served.port) as client:
        monkeypatch.setattr(
            infer_evm, "VectorModels", lambda cases, engine: RemoteModels(cases, served, client)
        )
        judged = list(
            infer_evm.run(*(vectors(vector_folder, n) for n in ("infer_evm", "cvm_models")))
        )
    assert len(judged) == 17
    assert [case for case in judged if not case.passed] == []
    assert served.count('synapse_requests_total{outcome="ok",type="content"}') > 0
    assert served.count('synapse_requests_total{outcome="ok",type="hash"}') > 0
