"""Measurements. Each file here with ``def run(quick: bool) -> dict`` is one; run them with
``python -m benchmarks [NAME…] [--quick]``."""
