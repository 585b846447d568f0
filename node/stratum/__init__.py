"""A mining pool at the node: Cortex's stratum (cortex-protocol §3) for miners of others.

`server` listens; each `connection` reads lines for a `session`, which asks the `pool`: its
`jobs`, the `shares` ledger, `bans`. `payout` turns confirmed blocks into balances and balances
into transactions.
"""
