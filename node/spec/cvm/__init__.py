"""The Cortex Virtual Machine: integer models, loaded with every check and run by a reference.

``load`` reads symbol and parameters, ``Graph.operations`` is the base of the gas, ``run`` the
answer in kernel form.
"""

from __future__ import annotations

from node.spec.cvm.errors import CvmError, CvmLoadError, CvmRunError
from node.spec.cvm.execution import run
from node.spec.cvm.graph import Graph, load_graph
from node.spec.cvm.parameters import load_parameters

__all__ = ["CvmError", "CvmLoadError", "CvmRunError", "Graph", "load", "load_graph", "run"]


def load(symbol: bytes, parameters: bytes, *, extended: bool = False) -> Graph:
    """Load a model.

    Args:
        symbol: The graph as JSON, version cvm_1.0.0 or cvm_1.1.0.
        parameters: The parameter blob.
        extended: Allow version farm_1.0.0 too (docs/operators.md): where a chain does, or where
            no chain is meant.

    Raises:
        CvmLoadError: either is malformed or breaks a rule; the message names what is wrong.
    """
    return load_parameters(load_graph(symbol, extended=extended), parameters)
