"""Every product of the catalogue, and how devices find theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers import registry
from drivers.base import DeviceInfo
from farmctl.errors import ConfigError
from farmctl.hardware import FOLDERS, find_product, load_product, load_products

FILES = sorted(FOLDERS[0].glob("*.toml"))
MINIMAL = """
name = "Abacus 1"
vendor = "Abaci"
kind = "gpu"
family = "cuda"
source = "Abaci, data sheet of 1642"

[match]
models = ["Abacus.*"]
"""


def device(family: str, model: str, **details: str) -> DeviceInfo:
    return DeviceInfo("x:0", "serial", family, model, frozenset(), details=details)


def test_there_are_products() -> None:
    assert len(FILES) >= 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_product_is_sound(path: Path) -> None:
    product = load_product(path)
    assert product.family in registry.families()
    assert product.match.pci_ids or product.match.usb_ids or product.match.models
    for profile in product.profiles.values():
        assert (profile.cuckaroo30_graphs_per_second is None) == (not profile.rate_source)
    if product.kind == "gpu":
        assert product.memory is not None
        assert product.limits.tdp_watts is not None


def test_no_two_products_claim_the_same_id() -> None:
    claimed = [i for p in load_products() for i in (*p.match.pci_ids, *p.match.usb_ids)]
    assert len(claimed) == len(set(claimed))


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (device("cuda", "whatever it says", pci_id="10de:2204"), "GeForce RTX 3090"),
        (device("cuda", "NVIDIA H100 80GB HBM3"), "H100 SXM 80 GB"),
        (device("cuda", "nvidia geforce rtx 3070 ti"), "GeForce RTX 3070 Ti"),
        (device("rocm", "Navi 31", pci_id="1002:744c:c8"), "Radeon RX 7900 XTX"),
        (device("rocm", "Navi 31", pci_id="1002:744c:cc"), None),
        (device("rocm", "x", pci_id="1002:74a1:00"), "Instinct MI300X"),
        (device("fpga", "Pynq-Z2"), "PYNQ-Z2"),
        (device("usbstick", "RP2040 stick"), "RP2040 stick"),
        (device("cuda", "Pynq-Z2"), None),
        (device("cuda", "NVIDIA GeForce RTX 3090 Ti"), None),
    ],
)
def test_device_finds_its_product(found: DeviceInfo, name: str | None) -> None:
    product = find_product(found, load_products())
    assert (product.name if product else None) == name


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MINIMAL + 'colour = "red"', "unknown key match.colour"),
        (MINIMAL.replace('vendor = "Abaci"', ""), "vendor: Field required"),
        (MINIMAL + "[limits]\ntdp_watts = -1", "limits.tdp_watts"),
        (MINIMAL + "[profiles.juggle]\npower_limit_ratio = 1", "profiles"),
        (MINIMAL.replace('["Abacus.*"]', '[]\npci_ids = ["10DE:1"]'), "match.pci_ids.0"),
        (MINIMAL.replace("Abacus.*", "Abacus("), "match.models.0"),
        ("name = ", "Invalid value"),
    ],
)
def test_wrong_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "abacus.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"abacus\.toml") as caught:
        load_products([tmp_path])
    assert complaint in str(caught.value)
