"""The dashboard's files, built by ``web/`` into ``farmctl/web_dist``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from farmctl.errors import NotFound

FOLDER = Path(__file__).parents[1] / "web_dist"
NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>farmctl</title>
<h1>The dashboard is not built</h1>
<p>The farm runs, and its API is at <code>/v1</code>. To build the dashboard run
<code>make up</code> in a clone; it needs Node.js 20 or newer.</p>
"""


def mount(app: FastAPI, folder: Path) -> None:
    """Serve the files; any other path outside the API is a page of the dashboard."""

    @app.get("/{path:path}", include_in_schema=False)
    async def page(request: Request, path: str) -> Response:
        if path.startswith("v1/"):
            raise NotFound(f"the API has no /{path}")
        root = folder.resolve()
        if not (root / "index.html").is_file():
            return HTMLResponse(NOT_BUILT, 503)
        file = (root / path).resolve()
        if path and file.is_file() and file.is_relative_to(root):
            return FileResponse(file, headers=_caching(path))
        if path.startswith("assets/"):
            raise NotFound(f"there is no /{path}; reload the page")
        return FileResponse(root / "index.html", headers={"Cache-Control": "no-cache"})


def _caching(path: str) -> dict[str, str]:
    """Names under ``assets/`` carry a hash of the content."""
    kept = path.startswith("assets/")
    return {"Cache-Control": "public, max-age=31536000, immutable" if kept else "no-cache"}
