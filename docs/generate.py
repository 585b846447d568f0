"""Write the pages of docs/ that follow from the code: settings, commands and the HTTP API.

``make docs`` runs it; a test fails when a committed page differs from what it writes, or when a
setting has no word of explanation.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from farmctl import config
from farmctl.api.app import build_app
from farmctl.cli import build_app as build_cli

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py from the code; `make docs` renews it. -->\n"


def write_pages(folder: Path = DOCS) -> None:
    for name, text in pages().items():
        (folder / name).write_text(text)


def pages() -> dict[str, str]:
    return {
        "configuration.md": NOTE + configuration_page(),
        "commands.md": NOTE + commands_page(),
        "http-api.md": NOTE + api_page(),
    }


def configuration_page() -> str:
    head = (
        "# Settings\n\n`farm.toml` in the farm's home (`FARMCTL_HOME`, by default "
        "`~/.local/share/farmctl`), or the environment as `FARMCTL_SECTION_KEY`. Unknown keys are "
        "refused.\n"
    )
    lists = {f"[{name}]": kind for name, kind in config.LISTS.items()}
    sections = {**config.SECTIONS, **lists}
    return head + "".join(_section(name, kind) for name, kind in sections.items())


def _section(name: str, kind: type[Any]) -> str:
    notes = attribute_notes(kind)
    lines = [
        f"\n## [{name}]\n\n{inspect.getdoc(kind) or ''}\n\n| key | default | |\n|---|---|---|\n"
    ]
    for field in dataclasses.fields(kind):
        lines.append(f"| `{field.name}` | {_default(field)} | {notes.get(field.name, '')} |\n")
    return "".join(lines).replace("\n\n\n", "\n\n")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return "of this machine" if field.type == "str" else "empty"
    return f"`{field.default!r}`"


def attribute_notes(kind: type[Any]) -> dict[str, str]:
    """The string below each attribute of a class."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for line, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr):
            assert isinstance(line.target, ast.Name) and isinstance(below.value, ast.Constant)
            notes[line.target.id] = " ".join(str(below.value.value).split())
    return notes


def commands_page() -> str:
    os.environ["COLUMNS"] = "100"
    root = typer.main.get_command(build_cli())
    parts = ["# Commands\n\n`farmctl COMMAND --help` tells more.\n\n| command | |\n|---|---|\n"]
    parts += [f"| `{name}` | {text} |\n" for name, text in _commands(root, "farmctl")]
    return "".join(parts)


def _commands(command: Any, path: str) -> Iterator[tuple[str, str]]:
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        if getattr(inner, "hidden", False):
            continue
        if getattr(inner, "commands", None):
            yield from _commands(inner, f"{path} {name}")
        else:
            words = [
                (p.name or "").upper() for p in inner.params if p.param_type_name == "argument"
            ]
            text = " ".join((inner.help or "").split("\n\n")[0].split())
            yield " ".join([path, name, *words]), text


def api_page() -> str:
    document = build_app(None).openapi()
    parts = [
        "# HTTP API\n\nJSON over HTTP with `Authorization: Bearer TOKEN`; `farmctl token` makes "
        "one. The whole description is at `/v1/openapi.json`.\n\n| | path | |\n|---|---|---|\n"
    ]
    for path, methods in sorted(document["paths"].items()):
        for method, body in methods.items():
            text = (body.get("description") or body["summary"]).split("\n\n")[0]
            parts.append(f"| {method.upper()} | `{path}` | {' '.join(text.split())} |\n")
    return "".join(parts)


if __name__ == "__main__":
    write_pages()
