"""The tables of the chain's database."""

TABLES = (
    "meta",
    "headers",
    "bodies",
    "receipts",
    "difficulties",
    "calls",
    "sums",
    "call_totals",
    "canonical",
    "locations",
    "created",
    "metas",
    "heights",
    "pending",
    "sealed",
    "nodes",
    "young",
    *("shares", "candidates", "finds", "balances", "payments"),  # of `node.stratum`
    *("notices", "scores", "likeness"),  # of `node.models`
)
