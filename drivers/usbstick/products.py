"""USB sticks that are known, by vendor and product id *and* by what they call themselves: many
share the ids of a common bridge chip."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    vendor: int
    product: int
    strings: str
    """Pattern that manufacturer and product string together must hold."""
    model: str
    works_as: str
    """What it is for; ``detect only`` where its vendor's runtime is no longer to be had."""
    needs: str = ""
    """What it would take to use it, where it is not used."""
    chip: str = ""
    """Of a SHA-256 stick."""

    def matches(self, vendor: int, product: int, strings: str) -> bool:
        same_ids = (vendor, product) == (self.vendor, self.product)
        return same_ids and re.search(self.strings, strings, re.IGNORECASE) is not None


CORAL = (
    "Google's Edge TPU runtime, which is in no registry any more, and a compiler from integer "
    "programs to its own quantised form, whose rounding is not the CVM's"
)
MOVIDIUS = (
    "OpenVINO 2022.3 or older with its MYRIAD plugin; the stick computes in 16-bit floats, which "
    "no two devices round alike, so it could train and serve but never verify"
)
OTHER_CHIP = "the serial protocol of its chips (BM1387, BM1397); only the BM1384's is here"
DETECT_ONLY, FIRMWARE, SHA256D = "detect only", "farmctl firmware", "sha256d"
#: A serial port that a person has named.
NAMED = Product(0, 0, "", "Stick on a named port", FIRMWARE)
NAMED_BM1384 = Product(0, 0, "", "BM1384 stick on a named port", SHA256D, chip="BM1384")
PRODUCTS = (
    Product(0x2E8A, 0x000A, "farmctl", "RP2040 stick", FIRMWARE),
    Product(0x2E8A, 0x0009, "farmctl", "RP2350 stick", FIRMWARE),
    Product(0x303A, 0x1001, "farmctl", "ESP32-S3 stick", FIRMWARE),
    Product(
        0x10C4,
        0xEA60,
        "BM1384|GekkoScience|Compac",
        "GekkoScience Compac BM1384",
        SHA256D,
        "",
        "BM1384",
    ),
    Product(0x0403, 0x6015, "NewPac", "GekkoScience NewPac", SHA256D, OTHER_CHIP),
    Product(0x0403, 0x6015, "R606", "GekkoScience R606", SHA256D, OTHER_CHIP),
    Product(0x0403, 0x6015, "Compac ?F", "GekkoScience Compac F", SHA256D, OTHER_CHIP),
    Product(0x1A6E, 0x089A, "", "Coral USB Accelerator (before its firmware)", DETECT_ONLY, CORAL),
    Product(0x18D1, 0x9302, "", "Coral USB Accelerator", DETECT_ONLY, CORAL),
    Product(0x03E7, 0x2485, "", "Intel Neural Compute Stick 2", DETECT_ONLY, MOVIDIUS),
    Product(0x03E7, 0xF63B, "", "Intel Neural Compute Stick 2 (booted)", DETECT_ONLY, MOVIDIUS),
)


def identify(vendor: int | None, product: int | None, strings: str) -> Product | None:
    if vendor is None or product is None:
        return None
    matching = (p for p in PRODUCTS if p.matches(vendor, product, strings))
    return next(matching, None)
