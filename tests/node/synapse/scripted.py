"""A node of lies, for whoever reads its blocks by JSON-RPC."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Scripted:
    """An HTTP server that answers for a node, as told."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []
        self.network = 21
        self.most = 1000
        """Blocks in one answer; for more it gives an error."""
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                calls = json.loads(body)
                replies = [outer.answer(call) for call in calls]
                if len(calls) > outer.most:
                    replies = [{"jsonrpc": "2.0", "id": 1, "error": {"message": "too much"}}]
                content = json.dumps(replies).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, call: Any) -> Any:
        found: Any = hex(len(self.blocks) - 1)
        if call["method"] == "eth_chainId":
            found = hex(self.network)
        if call["method"] == "eth_getBlockByNumber":
            number = int(call["params"][0], 16)
            found = self.blocks[number] if number < len(self.blocks) else None
        return {"jsonrpc": "2.0", "id": call["id"], "result": found}

    def add(self, branch: str, *data: bytes) -> None:
        number = len(self.blocks)
        parent = self.blocks[-1]["hash"] if self.blocks else ""
        created = [{"to": None, "input": "0x" + each.hex()} for each in data]
        made = {"number": hex(number), "hash": f"0x{branch}{number}", "parentHash": parent}
        self.blocks.append({**made, "transactions": created})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
