"""Proof-of-work mining: what is searched, where, and what is sent of what was found."""
