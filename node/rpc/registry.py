"""Finds the methods: each file in `node.rpc.methods` has ``METHODS``, name to function.

A function takes the `node.core.Node` and the request's parameters in order. Names in the
namespace ``eth_`` answer under ``ctxc_`` too.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from node.rpc import methods
from node.rpc.errors import InvalidParams

Method = Callable[..., Any]


@cache
def find_methods() -> Mapping[str, Method]:
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(methods.__path__):
        table = importlib.import_module(f"{methods.__name__}.{module.name}").METHODS
        clash = found.keys() & table.keys()
        if clash:
            raise RuntimeError(f"two files define the method {clash.pop()}")
        found.update(table)
    aliases = {f"ctxc_{n[4:]}": m for n, m in found.items() if n.startswith("eth_")}
    return {**aliases, **found}


def call_method(method: Method, node: Any, params: list[Any]) -> Any:
    """Bind and call; wrong parameters in number are `InvalidParams`."""
    try:
        inspect.signature(method).bind(node, *params)
    except TypeError as error:
        raise InvalidParams(f"wrong parameters: {error}") from error
    return method(node, *params)
