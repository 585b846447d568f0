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

    def matches(self, vendor: int, product: int, strings: str) -> bool:
        same_ids = (vendor, product) == (self.vendor, self.product)
        return same_ids and re.search(self.strings, strings, re.IGNORECASE) is not None


DETECT_ONLY = "detect only"
PRODUCTS = (
    Product(0x2E8A, 0x000A, "farmctl", "RP2040 stick", "farmctl firmware"),
    Product(0x2E8A, 0x0009, "farmctl", "RP2350 stick", "farmctl firmware"),
    Product(0x303A, 0x1001, "farmctl", "ESP32-S3 stick", "farmctl firmware"),
    Product(0x10C4, 0xEA60, "BM1384|GekkoScience|Compac", "GekkoScience Compac BM1384", "sha256d"),
    Product(0x0403, 0x6015, "NewPac", "GekkoScience NewPac", "sha256d"),
    Product(0x0403, 0x6015, "R606", "GekkoScience R606", "sha256d"),
    Product(0x0403, 0x6015, "Compac ?F", "GekkoScience Compac F", "sha256d"),
    Product(0x1A6E, 0x089A, "", "Coral USB Accelerator (before its firmware)", DETECT_ONLY),
    Product(0x18D1, 0x9302, "", "Coral USB Accelerator", DETECT_ONLY),
    Product(0x03E7, 0x2485, "", "Intel Neural Compute Stick 2", DETECT_ONLY),
    Product(0x03E7, 0xF63B, "", "Intel Neural Compute Stick 2 (booted)", DETECT_ONLY),
)


def identify(vendor: int | None, product: int | None, strings: str) -> Product | None:
    if vendor is None or product is None:
        return None
    matching = (p for p in PRODUCTS if p.matches(vendor, product, strings))
    return next(matching, None)
