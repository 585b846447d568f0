"""Write the OpenAPI document of the HTTP API, from which ``npm run types`` makes the client."""

from __future__ import annotations

import json
import sys

from farmctl.api.app import build_app

if __name__ == "__main__":
    json.dump(build_app(None).openapi(), sys.stdout, indent=1, sort_keys=True)
