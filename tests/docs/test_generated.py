"""The generated pages are those that the code gives, and every setting is explained."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from farmctl import config

DOCS = Path(__file__).parents[2] / "docs"
_spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert _spec is not None and _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("name", sorted(generate.pages()))
def test_a_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == generate.pages()[name], "run `make docs`"


@pytest.mark.parametrize("section", sorted(config.SECTIONS))
def test_every_setting_is_explained(section: str) -> None:
    kind = config.SECTIONS[section]
    notes = generate.attribute_notes(kind)
    assert {field.name for field in dataclasses.fields(kind)} == set(notes)
