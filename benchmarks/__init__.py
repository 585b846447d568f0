"""Measurements. Each file or folder here with ``def run(quick: bool) -> dict`` is one; run them
with ``python -m benchmarks [NAME…] [--quick]``. One that takes more has
``def add_arguments(parser)`` and gets them as keywords of ``run``."""
