"""The process that executes calls. It only reads the chain, and may be killed at any moment."""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection
from typing import cast

from node.errors import NodeError
from node.overlay import Overlay
from node.rpc.simulation.calls import CallResult, LocalCaller
from node.rpc.simulation.messages import Ask, Job, Setup, Topic
from node.spec.state import State
from node.spec.trie import MissingNode
from node.store import ChainStore
from node.worker.child import join_owner


class AskedInference:
    """The `Infer` protocol by questions to the node."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel

    def operations(self, model: bytes, raw_size: int) -> int:
        return cast(int, self._ask(Topic.OPERATIONS, model, raw_size))

    def input_data(self, infohash: bytes, raw_size: int) -> bytes:
        return cast(bytes, self._ask(Topic.INPUT_DATA, infohash, raw_size))

    def run(self, model: bytes, data: bytes, raw_size: int) -> bytes:
        return cast(bytes, self._ask(Topic.RUN, model, data, raw_size))

    def _ask(self, topic: Topic, *arguments: bytes | int) -> object:
        self._channel.send(Ask(topic, arguments))
        said = self._channel.recv()
        if isinstance(said, Exception):
            raise said
        return said


def serve(channel: Connection) -> None:
    """Until the node ends the channel."""
    setup: Setup = channel.recv()
    store = ChainStore(setup.store, read_only=True)
    caller = LocalCaller(
        store,
        lambda header: State(Overlay(store), header.state_root),
        setup.chain,
        AskedInference(channel),
        setup.interpret,
    )
    channel.send(None)
    while True:
        channel.send(_do(caller, channel.recv()))


def _do(caller: LocalCaller, job: Job) -> CallResult | NodeError | MissingNode:
    try:
        if job.most_gas is None:
            return caller.estimate(job.wanted, job.header)
        return caller.call(job.wanted, job.header, job.most_gas)
    except (NodeError, MissingNode) as error:
        return error


if __name__ == "__main__":
    try:
        serve(join_owner(sys.argv[1:]))
    except (EOFError, OSError):
        sys.exit(0)  # the node is gone
