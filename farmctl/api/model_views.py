"""What the HTTP API shows of models, from the node's JSON-RPC."""

from __future__ import annotations

from typing import Any, Literal

from farmctl.api import schemas


class CardView(schemas.Body):
    """The whitepaper's table 2."""

    digest: str
    field: str
    method: str
    training: bool
    loss: str
    input: InputCardView
    output: OutputCardView


class InputCardView(schemas.Body):
    rank: int
    size: int
    dataset: str
    shape: list[int]


class OutputCardView(schemas.Body):
    dtype: str
    range: list[int]
    """Least and greatest value."""
    prediction: str
    shape: list[int]


class RatingView(schemas.Body):
    median: float
    scorers: int


class CopyView(schemas.Body):
    address: str
    kind: str


class TestSetView(schemas.Body):
    inputs: str
    """Infohash of the inputs."""
    labels: str
    comment: str


class ModelView(schemas.Body):
    address: str
    infohash: str
    comment: str
    author: str
    input_shape: list[int]
    output_shape: list[int]
    raw_size: int
    gas: int
    """The author's share per call, in gas."""
    block: int
    usable: bool
    reason: str
    calls: int
    here: bool
    """Its files lie in this node's storage."""
    copies: int
    """That are known, this node's own among them."""
    copies_required: int
    """Before this farm calls it usable."""
    fetched_ratio: float | None
    """How much of it is here, while it is being fetched."""
    storage_problem: str
    """Why the last attempt to fetch it failed."""
    withdrawn: bool
    """Its author offers it no longer; contracts that call it are served as before."""
    successor: str
    """Address of the model that its author names instead; empty where there is none."""
    replaces: str
    """Address of the model that it is the new version of."""
    cid: str
    """Where its files lie on IPFS, as its author says."""
    test_sets: list[TestSetView]
    """The newest last."""
    created: int
    """Block of its creation."""
    card: CardView | None
    card_problem: str
    """Why the card that it names cannot be shown."""
    ratings: dict[str, RatingView]
    """By metric: accuracy, recall, speed."""
    copy_of: CopyView | None
    """The earlier model that it is likest to, where it is a copy of one."""


class LikenessView(schemas.Body):
    """How alike a model is to an earlier one."""

    earlier: str
    """Address; empty where the earlier model has left the chain with a branch."""
    earlier_infohash: str
    kind: str
    is_copy: bool
    cosine: float
    """Of the weights, channels matched; 1 is equal up to scale."""
    plain_cosine: float
    """With channels as they stand."""
    covered: float
    """Share of the earlier model's weights that was compared."""
    identical_tensors: int
    tensors: int
    same_architecture: bool


class ScoreView(schemas.Body):
    scorer: str
    metric: str
    value: float
    test_set: str
    issue: int
    text: str
    """What was signed."""
    signature: str


class ScoreBody(schemas.Body):
    metric: Literal["accuracy", "recall", "speed"]
    value: str
    """Decimal, at most six places."""
    test_set: str
    """Infohash."""
    issue: int
    signature: str
    """Of the scorer's account over the text, as a wallet signs it."""


class CostView(schemas.Body):
    """Of one inference, beside the call's own gas."""

    operations: int
    author_gas: int
    infer_gas: int
    infer_array_gas: int
    gas_price_wei: str
    infer_fee_wei: str
    infer_array_fee_wei: str


class ModelDetailView(schemas.Body):
    model: ModelView
    scores: list[ScoreView]
    likenesses: list[LikenessView]
    comparison_pending: str
    """Why it is not compared with earlier models yet; empty where it is."""
    cost: CostView | None
    """None while its operations are not known."""


class EvaluationView(schemas.Body):
    state: Literal["running", "done", "failed"]
    items: int
    done: int
    right: int
    accuracy: float | None
    """Of those done; None before the first."""
    seconds: float
    comment: str
    """The set's."""
    detail: str
    """Why it failed."""


class ModelCacheView(schemas.Body):
    """The node's cache of loaded models; counts are since its process began."""

    policy: str
    limit_bytes: int
    used_bytes: int
    entries: int
    hits: int
    misses: int
    evictions: int
    hit_ratio: float | None
    """None before the first request."""


def show_model(model: dict[str, Any]) -> ModelView:
    """A model of the JSON-RPC's ``ctxc_models``, whose quantities are hex."""
    return ModelView(
        address=model["address"],
        infohash=model["infohash"],
        comment=model["comment"],
        author=model["author"],
        input_shape=model["inputShape"],
        output_shape=model["outputShape"],
        raw_size=int(model["rawSize"], 16),
        gas=int(model["gas"], 16),
        block=int(model["block"], 16),
        usable=model["usable"],
        reason=model["reason"],
        calls=int(model["calls"], 16),
        here=model["storage"]["here"],
        copies=int(model["storage"]["copies"], 16),
        copies_required=int(model["storage"]["required"], 16),
        fetched_ratio=model["storage"]["fetched"],
        storage_problem=model["storage"]["problem"],
        withdrawn=model["withdrawn"],
        successor=model["successor"],
        replaces=model["replaces"],
        cid=model["cid"],
        test_sets=[TestSetView(**each) for each in model["testSets"]],
        created=int(model["created"], 16),
        card=CardView(**model["card"]) if model["card"] else None,
        card_problem=model["cardProblem"],
        ratings={metric: RatingView(**found) for metric, found in model["ratings"].items()},
        copy_of=CopyView(**model["copyOf"]) if model["copyOf"] else None,
    )


def show_likeness(found: dict[str, Any]) -> LikenessView:
    earlier = found.get("earlier", {})
    return LikenessView(
        earlier=earlier.get("address") or "",
        earlier_infohash=earlier.get("infohash", ""),
        kind=found["kind"],
        is_copy=found["isCopy"],
        cosine=found["cosine"],
        plain_cosine=found["plainCosine"],
        covered=found["covered"],
        identical_tensors=found["identicalTensors"],
        tensors=found["tensors"],
        same_architecture=found["sameArchitecture"],
    )


def show_score(found: dict[str, Any]) -> ScoreView:
    return ScoreView(
        scorer=found["scorer"],
        metric=found["metric"],
        value=float(found["value"]),
        test_set=found["testSet"],
        issue=int(found["issue"], 16),
        text=found["text"],
        signature=found["signature"],
    )


def show_cost(found: dict[str, Any]) -> CostView:
    return CostView(
        operations=int(found["operations"], 16),
        author_gas=int(found["authorGas"], 16),
        infer_gas=int(found["inferGas"], 16),
        infer_array_gas=int(found["inferArrayGas"], 16),
        gas_price_wei=str(int(found["gasPrice"], 16)),
        infer_fee_wei=str(int(found["inferFee"], 16)),
        infer_array_fee_wei=str(int(found["inferArrayFee"], 16)),
    )
