"""The node's peers (`node.peers.board`)."""

from __future__ import annotations

from typing import Any

from node.core import Node
from node.peers.board import PeerView
from node.rpc.forms import hexbytes, quantity


def status(node: Node) -> dict[str, Any]:
    """Every peer with its state and points, and whether the feeds agree."""
    board = node.peer_board
    return {
        "listening": board.listening,
        "fingerprint": board.fingerprint,
        "comparison": board.comparison,
        "peers": [_peer(view) for view in board.peers],
    }


def _peer(view: PeerView) -> dict[str, Any]:
    total = view.total_difficulty
    return {
        "name": view.name,
        "kind": view.kind,
        "inbound": view.inbound,
        "state": view.state.value,
        "reason": view.reason,
        "number": None if view.number is None else quantity(view.number),
        "head": None if view.head is None else hexbytes(view.head),
        "totalDifficulty": None if total is None else quantity(total),
        "points": view.points,
    }


METHODS = {"peers_status": status}
