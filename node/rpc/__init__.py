"""JSON-RPC 2.0 of the node: ``eth_`` (under ``ctxc_`` too), ``net_``, ``web3_``, ``debug_``.

A file in `node.rpc.methods` names its methods in ``METHODS``; nothing else is edited.
"""
