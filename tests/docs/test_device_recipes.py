"""The recipes for device families and hardware products, followed to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import drivers
from drivers import registry
from drivers.base import DeviceInfo, ProbeStatus
from drivers.survey import Survey
from farmctl.commands import doctor
from farmctl.hardware import FOLDERS, find_product, load_products

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"


def read_block(recipe: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (RECIPES / recipe).read_text(), re.DOTALL)
    assert found, f"{recipe} has no {language} block"
    return found[1]


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "driver.py").write_text(read_block("device-family.md", "python"))
    monkeypatch.setattr(drivers, "__path__", list(drivers.__path__))
    monkeypatch.setenv(registry.SEARCH_VARIABLE, str(tmp_path))
    return "clock"


def test_family_is_found(family: str) -> None:
    found = next(f for f in Survey().look() if f.name == family)
    assert found.probe.status is ProbeStatus.PASS
    assert found.devices[0].snapshot().values["clock_hertz"] >= 1e6


def test_doctor_shows_the_family(family: str) -> None:
    found = [f for f in Survey().look() if f.name == family]
    report = doctor.report(found, [doctor.examine(found[0].devices[0])])
    assert report["families"] == [{"family": "clock", "status": "pass", "reason": ""}]
    assert report["devices"][0]["id"] == "clock:0"


def test_product_is_found(tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(read_block("hardware-product.md", "toml"))
    device = DeviceInfo(
        "cuda:0", "GPU-1", "cuda", "?", frozenset(), details={"pci_id": "10de:2805"}
    )
    product = find_product(device, load_products([*FOLDERS, tmp_path]))
    assert product is not None
    assert product.name == "GeForce RTX 4060 Ti 16 GB"
