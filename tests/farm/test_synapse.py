"""Remote inference beside a whole farm: as `farmctl up` serves it, and after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from node.models.storage.directory import DirectoryStorage
from tests.farm.running import running, until
from tests.node.synapse.go_client import GoClient, RuntimeError_
from tests.node.workshop import dense_model
from tests.support.ports import free_port

RESULT = bytes.fromhex("0000005b000000030000000f")
DATA = bytes(range(1, 7))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_farm_serves_the_nodes_of_others(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    model = DirectoryStorage(home / "models").put_model(*dense_model())
    with running(home, FARMCTL_SYNAPSE_LISTEN=f"127.0.0.1:{port}") as farm:

        def ask(data: bytes) -> bytes:
            try:
                with GoClient(port) as client:
                    return client.infer_by_content(model, data)
            except RuntimeError_:
                return b""

        until(lambda: ask(DATA) == RESULT, what="a device of the farm answers")
        shown = farm.command("node", "status").stdout
        assert "computed by the farm's" in shown and "ok" in shown
        until(lambda: farm.client.get("/v1/synapse")["service"], what="the dashboard knows")
        (pid,) = farm.pids("synapse")
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(ask(DATA[::-1])) == 12, what="it is started again")
        assert farm.pids("synapse") != [pid]
