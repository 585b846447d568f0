"""Remote inference for the nodes of others: what a CortexTheseus node asks when it is started
with ``--infer.devicetype=remote://HOST:PORT`` (cortex-protocol §6)."""
