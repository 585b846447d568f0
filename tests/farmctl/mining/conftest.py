"""The rig's bench serves here."""

from tests.farmctl.rig_bench import bus, link, place, shelf, told

__all__ = ["bus", "link", "place", "shelf", "told"]
