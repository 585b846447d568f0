"""Models on the chain: ranking, cards, scores, copies, and the node's cache of them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request

from farmctl.api import model_views as views
from farmctl.api.auth import Reader, Seller, find_farm
from farmctl.errors import NotFound, Unavailable
from farmctl.store import audit
from node.models.cache import hit_ratio

router = APIRouter(prefix="/v1/models", tags=["models"])
Order = Literal["newest", "calls", "accuracy", "recall", "speed"]


@router.get("")
async def list_models(
    request: Request,
    caller: Reader,
    by: Order = "newest",
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    withdrawn: bool = False,
) -> list[views.ModelView]:
    """Newest first, or the best first by calls or by the median of third parties' scores; with
    ``withdrawn``, by newest, those too that are offered no longer."""
    node = find_farm(request).node
    if by == "newest":
        found = (await node.call("ctxc_models", withdrawn))[:limit]
    else:
        found = await node.call("ctxc_rankModels", by, hex(limit))
    return [views.show_model(model) for model in found]


@router.get("/cache")
async def show_cache(request: Request, caller: Reader) -> views.ModelCacheView:
    status = find_farm(request).node_status()
    if status is None or status.model_cache is None:
        raise Unavailable("the node does not report; it is started again by itself")
    cache = status.model_cache
    ratio = hit_ratio(cache.hits, cache.misses)
    return views.ModelCacheView(**cache.model_dump(exclude={"v"}), hit_ratio=ratio)


@router.get("/compare")
async def compare_models(
    request: Request, caller: Reader, earlier: str, later: str
) -> views.LikenessView:
    """Two models in full, by address; large ones take a while."""
    node = find_farm(request).node
    found = await node.call("ctxc_compareModels", earlier, later)
    return views.show_likeness({**found, "earlier": {"address": earlier}})


@router.get("/{address}")
async def show_model(request: Request, caller: Reader, address: str) -> views.ModelDetailView:
    """A model with its scores, the earlier models it is a copy of, and what a call costs."""
    node = find_farm(request).node
    model = await node.call("ctxc_getModel", address)
    if model["kind"] != "model":
        raise NotFound(f"an input, not a model, is at {address}")
    scores = await node.call("ctxc_scores", address)
    likeness = await node.call("ctxc_likeness", address)
    try:
        cost = views.show_cost(await node.call("ctxc_estimateInfer", address))
    except Unavailable:
        cost = None  # its files are not here
    return views.ModelDetailView(
        model=views.show_model(model),
        scores=[views.show_score(score) for score in scores],
        likenesses=[views.show_likeness(each) for each in likeness["likenesses"]],
        comparison_pending=likeness["pending"],
        cost=cost,
    )


@router.post("/{address}/scores", status_code=201)
async def submit_score(
    request: Request, caller: Seller, address: str, body: views.ScoreBody
) -> views.ScoreView:
    """Keep a score that a third party has signed."""
    farm = find_farm(request)
    score = {
        "model": address,
        "metric": body.metric,
        "value": body.value,
        "testSet": body.test_set,
        "issue": hex(body.issue),
        "signature": body.signature,
    }
    found = await farm.node.call("ctxc_submitScore", score)
    with farm.store.begin() as tx:
        audit.append(tx, farm.clock(), caller.name, "score", f"{body.metric} of {address}")
    return views.show_score(found)
