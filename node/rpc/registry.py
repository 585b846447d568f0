"""Finds the methods: each file in `node.rpc.methods` has ``METHODS``, name to function.

A function takes the `node.core.Node` and the request's parameters in order. Names in the
namespace ``eth_`` answer under ``ctxc_`` too.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from node.rpc import methods
from node.rpc.errors import InvalidParams

Function = TypeVar("Function", bound=Callable[..., Any])
_heavy: set[Callable[..., Any]] = set()


@dataclass(frozen=True)
class Method:
    """A function and how many parameters it takes behind the node."""

    function: Callable[..., Any]
    least: int
    most: int
    is_heavy: bool

    def call(self, node: Any, params: list[Any]) -> Any:
        """Wrong parameters in number are `InvalidParams`; empty ones at the end are none."""
        given = list(params)
        while len(given) > self.most and given[-1] is None:
            given.pop()
        if not self.least <= len(given) <= self.most:
            wanted = f"{self.least} to {self.most}" if self.least < self.most else f"{self.most}"
            raise InvalidParams(f"expected {wanted} parameters, not {len(given)}")
        return self.function(node, *given)


def heavy(function: Function) -> Function:
    """Mark a function that may take long: it has threads apart, so that others need not wait."""
    _heavy.add(function)
    return function


@cache
def find_methods() -> Mapping[str, Method]:
    found: dict[str, Method] = {}
    for module in pkgutil.iter_modules(methods.__path__):
        table = importlib.import_module(f"{methods.__name__}.{module.name}").METHODS
        clash = found.keys() & table.keys()
        if clash:
            raise RuntimeError(f"two files define the method {clash.pop()}")
        found.update({name: describe(function) for name, function in table.items()})
    aliases = {f"ctxc_{n[4:]}": m for n, m in found.items() if n.startswith("eth_")}
    return {**aliases, **found}


def describe(function: Callable[..., Any]) -> Method:
    """A function as a method: its parameters behind the node are the request's."""
    params = list(inspect.signature(function).parameters.values())[1:]
    least = sum(p.default is inspect.Parameter.empty for p in params)
    return Method(function, least, len(params), function in _heavy)
