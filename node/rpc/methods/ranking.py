"""Which models are the best: by how often contracts call them, and by what third parties say."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any

from node.core import Node
from node.errors import ScoreRefused
from node.models.index import Registered
from node.models.scores import MICRO, Metric, Score, Statement, verify_score
from node.rpc.errors import InvalidParams, ResourceNotFound
from node.rpc.forms import hexbytes, parse_address, parse_bytes, parse_quantity, quantity
from node.rpc.methods.models import describe, parse_infohash
from node.rpc.registry import heavy
from node.rpc.views import Json
from node.spec.meta import ModelMeta

BY_CALLS = "calls"
RANKED_LIMIT = 1000
_FIELDS = {"model", "metric", "value", "testSet", "issue", "signature"}


@heavy
def rank_models(node: Node, by: Any = BY_CALLS, limit: Any = "0x64") -> list[Json]:
    """The best models, best first, by ``calls`` on the canonical chain or by a metric's median
    score; 100 unless told. Models without a score stand in no ranking by it, those that their
    authors have withdrawn in none."""
    count = parse_quantity(limit, "limit")
    if not 0 < count <= RANKED_LIMIT:
        raise InvalidParams(f"limit: 1 … {RANKED_LIMIT}")
    ranked = rank_by_calls(node) if by == BY_CALLS else rank_by_scores(node, parse_metric(by))
    described = (describe(node, entry) for entry in ranked)
    offered = (model for model in described if not model["withdrawn"])
    return [{"rank": place, **each} for place, each in enumerate(islice(offered, count), 1)]


def rank_by_calls(node: Node) -> list[Registered]:
    totals = dict(node.store.records("call_totals"))

    def calls(each: tuple[Registered, ModelMeta]) -> tuple[bytes, int]:
        return totals.get(each[1].hash, bytes(8)), -each[1].block_num

    return [entry for entry, _ in sorted(node.index.models(), key=calls, reverse=True)]


def rank_by_scores(node: Node, metric: Metric) -> list[Registered]:
    models = {entry.address: entry for entry, _ in node.index.models()}
    return [models[address] for address, _ in node.scores.rank(metric, models)]


def list_scores(node: Node, model: Any) -> list[Json]:
    """What third parties say of a model, newest issues first."""
    found = node.scores.of_model(parse_address(model))
    return [show_score(s) for s in sorted(found, key=lambda s: s.statement.issue, reverse=True)]


def submit_score(node: Node, request: Any) -> Json:
    """Keep a signed score: model, metric, value (decimal text), testSet (infohash), issue
    (quantity), signature (65 bytes over the text, as ``personal_sign`` makes it)."""
    statement, signature = parse_score(node, request)
    entry = node.index.find(statement.model)
    if entry is None or not isinstance(entry.meta, ModelMeta):
        raise ResourceNotFound("no model at this address")
    state = node.state_at(node.head())
    try:
        score = verify_score(statement, signature)
        node.scores.add(score, lambda address: not state.is_empty(address))
    except ScoreRefused as error:
        raise InvalidParams(str(error)) from error
    return show_score(score)


def show_score(score: Score) -> Json:
    stated = score.statement
    return {
        "model": hexbytes(stated.model),
        "scorer": hexbytes(score.scorer),
        "metric": str(stated.metric),
        "value": f"{stated.value:.6f}",
        "testSet": stated.test_set.hex(),
        "issue": quantity(stated.issue),
        "text": stated.text(),
        "signature": hexbytes(score.signature),
    }


def parse_score(node: Node, request: Any) -> tuple[Statement, bytes]:
    if not isinstance(request, dict) or set(request) != _FIELDS:
        raise InvalidParams(f"a score is an object with {', '.join(sorted(_FIELDS))}")
    statement = Statement(
        chain_id=node.chain.chain_id,
        model=parse_address(request["model"], "model"),
        metric=parse_metric(request["metric"]),
        value_micro=parse_value(request["value"]),
        test_set=bytes.fromhex(parse_infohash(request["testSet"])),
        issue=parse_quantity(request["issue"], "issue"),
    )
    return statement, parse_bytes(request["signature"], 65, "signature")


def parse_metric(value: Any) -> Metric:
    try:
        return Metric(value)
    except ValueError as error:
        names = ", ".join((BY_CALLS, *Metric))
        raise InvalidParams(f"{str(value)[:40]!r} is none of {names}") from error


def parse_value(value: Any) -> int:
    """Millionths; more than six places are refused, for they would not be signed."""
    try:
        micro = Decimal(value if isinstance(value, str) and len(value) < 40 else "") * MICRO
    except InvalidOperation as error:
        raise InvalidParams('value: expected decimal text such as "0.93"') from error
    if not micro.is_finite() or micro != micro.to_integral_value():
        raise InvalidParams("value: at most six places after the point")
    return int(micro)


METHODS = {
    "ctxc_rankModels": rank_models,
    "ctxc_scores": list_scores,
    "ctxc_submitScore": submit_score,
}
