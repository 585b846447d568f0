"""What an author says of a published model: one transaction each."""

from __future__ import annotations

from typing import Any

from farmctl.errors import BadRequest, Refused
from farmctl.publishing.author import Author
from node.models.errors import MalformedModel
from node.models.notices import Notice, encode_notice
from node.spec.gas import intrinsic_gas


def give_notice(author: Author, model: bytes, notice: Notice) -> dict[str, Any]:
    """Returns the model (by address) as it stands afterwards, when the notice is in a block.
    Raises `Refused` where the account is not the model's author, `BadRequest` where it is no
    notice."""
    address = "0x" + model.hex()
    found = author.call("ctxc_getModel", address)
    if found["kind"] != "model":
        raise Refused(f"{address} is an input; only a model has an author")
    if bytes.fromhex(found["author"][2:]) != author.address:
        raise Refused(f"only its author {found['author']} speaks for this model")
    if int(found["upload"], 16):
        raise Refused("the model is still being uploaded; wait for the end of that")
    try:
        data = encode_notice(notice)
    except MalformedModel as error:
        raise BadRequest(str(error)) from error
    gas = intrinsic_gas(data, creates=False, uploads=False, istanbul=False)  # never too little
    transaction = author.sign(model, gas, data)
    author.send(transaction)
    author.await_receipt(transaction)
    standing: dict[str, Any] = author.call("ctxc_getModel", address)
    return standing
