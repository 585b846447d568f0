"""The node's peers, by its own JSON-RPC."""

from typing import Any

from fastapi import APIRouter, Request

from farmctl.api.auth import Reader, find_farm
from farmctl.api.schemas import Body

router = APIRouter(prefix="/v1", tags=["node"])


class PeerView(Body):
    name: str
    kind: str
    """``farm``: another farm's node; ``rpc``: a node behind its JSON-RPC."""
    inbound: bool
    """It connected to this node."""
    state: str
    """connected, connecting, lost or banned."""
    reason: str
    """Why it is not connected, or what was last held against it."""
    height: int | None
    head: str | None
    total_difficulty: str | None
    """Decimal."""
    points: float
    """Against it; at 100 it is banned for a while."""


class PeersView(Body):
    listening: str
    """Address at which peers may connect; empty where none may."""
    fingerprint: str
    """This node's own, which others pin."""
    comparison: str
    """Whether the feeds agree, in words."""
    peers: list[PeerView]


@router.get("/peers")
async def show_peers(request: Request, caller: Reader) -> PeersView:
    """Where blocks come from, and how far each source can be relied on."""
    board = await find_farm(request).node.call("peers_status")
    return PeersView(
        listening=board["listening"],
        fingerprint=board["fingerprint"],
        comparison=board["comparison"],
        peers=[_show(peer) for peer in board["peers"]],
    )


def _show(peer: dict[str, Any]) -> PeerView:
    number, total = peer["number"], peer["totalDifficulty"]
    return PeerView(
        name=peer["name"],
        kind=peer["kind"],
        inbound=peer["inbound"],
        state=peer["state"],
        reason=peer["reason"],
        height=None if number is None else int(number, 16),
        head=peer["head"],
        total_difficulty=None if total is None else str(int(total, 16)),
        points=peer["points"],
    )
