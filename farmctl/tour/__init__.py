"""``farmctl tour``: the whole business, walked on the running farm, one file a step.

It is a client like any other: the HTTP API, the JSON-RPC by web3.py, the model representation
tool. Only the farm's own money needs more: it is taken with the node's key, from its home.
"""
