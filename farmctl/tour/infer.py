"""Step 5: a contract asks the published model, and every answer is computed twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from web3 import Web3

from farmctl.errors import FarmError
from farmctl.tour.assembler import deploy
from farmctl.tour.chain import GWEI, Wallet
from farmctl.tour.contract import ABI, classifier
from farmctl.tour.convert import DigitsModel
from farmctl.tour.guide import Guide
from farmctl.tour.publish import (
    AUTHOR_GAS,
    PublishedModel,
    create_metas,
    upload_metas,
    wait_all,
)
from node.models.input_file import write_input
from node.models.metadata import describe_input
from node.spec.crypto import keccak
from node.spec.cvm import load

CALLS = 20
CALL_GAS = 200_000
DEPLOY_GAS = 300_000


def call_contract(guide: Guide, model: DigitsModel, published: PublishedModel) -> None:
    """Publish 20 digits, deploy the contract, call it on each, and account for everything."""
    customer, author = published.accounts.customer, published.accounts.author
    images, labels = model.images[:CALLS], model.labels[:CALLS]
    inputs = _publish_inputs(guide, customer, images)
    contract = _deploy(guide, customer, model)
    before = author.balance()
    receipts = _call(guide, customer, contract, published.address, inputs)
    classes = _read_classes(contract, receipts)
    right = sum(int(label) == found for label, found in zip(labels, classes, strict=True))
    guide.note("INFER by a contract", f"{right} of {CALLS} digits named right")
    guide.say(f"labels {labels.tolist()}")
    guide.say(f"found  {classes}")
    _show_verification(guide, published.infohash, images)
    _show_money(guide, receipts, author.balance() - before)


def _publish_inputs(guide: Guide, customer: Wallet, images: NDArray[np.int8]) -> list[str]:
    metas = []
    for index, image in enumerate(images):
        content = write_input(image)
        artifact = guide.client.put_file(content)
        guide.client.post("/v1/storage", {"files": {"data": artifact}})
        metas.append(describe_input(content, f"digit {index} of the tour").encode())
    addresses = create_metas(guide, customer, metas)
    upload_metas(guide, customer, addresses)
    guide.say(f"{len(addresses)} digits published as inputs")
    return addresses


def _deploy(guide: Guide, customer: Wallet, model: DigitsModel) -> Any:
    graph = load(model.symbol, model.parameters)
    code = deploy(classifier(graph.output_shapes[0][-1], graph.output_type_bytes))
    (receipt,) = wait_all(guide, "the contract in a block", [customer.send(None, DEPLOY_GAS, code)])
    guide.note("contract", f"{receipt['contractAddress']}, {len(code)} bytes of code")
    return guide.chain.web3.eth.contract(address=receipt["contractAddress"], abi=ABI)


def _call(
    guide: Guide, customer: Wallet, contract: Any, model: str, inputs: Sequence[str]
) -> list[dict[str, Any]]:
    sent = []
    for address in inputs:
        data = Web3.to_bytes(hexstr=contract.encode_abi("classify", [model, address]))
        sent.append(customer.send(contract.address, CALL_GAS, data))
    return wait_all(guide, f"{len(sent)} calls of INFER", sent)


def _read_classes(contract: Any, receipts: Sequence[dict[str, Any]]) -> list[int]:
    """The class that each call logged, in order."""
    found = []
    for receipt in receipts:
        (event,) = contract.events.Classified().process_receipt(receipt)
        found.append(int(event["args"]["class"]))
    return found


def _show_verification(guide: Guide, infohash: str, images: NDArray[np.int8]) -> None:
    """Which device answered each call, and that the reference agreed on each. Raises
    `FarmError` where a call was not verified so."""
    wanted = {"0x" + keccak(image.tobytes()).hex() for image in images}
    computed = guide.chain.call("ctxc_inferences", infohash)
    ours = {each["inputHash"]: each for each in computed if each["inputHash"] in wanted}
    checked = [each for each in ours.values() if each["checked"] and each["device"]]
    if len(checked) != len(wanted):
        raise FarmError(
            f"only {len(checked)} of {len(wanted)} inferences were checked; set "
            "FARMCTL_NODE_CROSS_CHECK_RATIO=1"
        )
    devices = Counter(each["device"] for each in checked)
    names = ", ".join(f"{count} by {device}" for device, count in devices.items())
    times = [each["milliseconds"] for each in checked]
    guide.note(
        "verified",
        f"{names}; the CVM reference agreed on all {len(checked)}; "
        f"median {float(np.median(times)):.1f} ms a call, check included",
    )


def _show_money(guide: Guide, receipts: Sequence[dict[str, Any]], grown_wei: int) -> None:
    """Endorphin charged, and the author's share, which must be exact."""
    charged = sum(each["gasUsed"] * each["effectiveGasPrice"] for each in receipts)
    share = sum(AUTHOR_GAS * each["effectiveGasPrice"] for each in receipts)
    gas = sum(each["gasUsed"] for each in receipts)
    guide.note("endorphin charged", f"{gas} gas, {_coins(charged)} for {len(receipts)} calls")
    if grown_wei != share:
        raise FarmError(f"the author got {grown_wei} wei, not the {share} that are due")
    guide.note("author's share", f"{_coins(share)} = {len(receipts)} × {AUTHOR_GAS} gas, arrived")


def _coins(wei: int) -> str:
    return f"{wei / GWEI / GWEI:.9f} coins"
