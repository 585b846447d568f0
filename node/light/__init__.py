"""Light mode: headers are checked and kept, all else is asked of full nodes with proofs.

`headers` keeps the chain of headers, `following` fetches it from the `feeds`; `state` reads
accounts, slots and code proven against a header; `inclusion` proves transactions and receipts;
`node` answers calls over both and `methods` is its JSON-RPC. What needs whole blocks or models
beyond the bound is refused, and says so.
"""
