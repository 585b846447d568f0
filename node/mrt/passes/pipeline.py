"""All passes in their order.

Before them `frontend.onnx_model.prepare` has fixed the batch and folded constants; after them come
calibration, equalisation (`passes.equalisation`, which needs its figures), and a form, which
chooses scales for each channel and corrects biases.
"""

from __future__ import annotations

from collections.abc import Callable

from node.mrt.network import Network
from node.mrt.passes.affine_folding import fold_affine
from node.mrt.passes.function_merging import merge_functions
from node.mrt.passes.identity_removal import remove_identities
from node.mrt.passes.padding_folding import fold_padding

PASSES: tuple[Callable[[Network], Network], ...] = (
    remove_identities,
    merge_functions,
    fold_padding,
    fold_affine,
    remove_identities,
)


def simplify(network: Network) -> Network:
    """The network after every pass."""
    for apply in PASSES:
        network = apply(network)
    return network
