"""Passes over the float network: each takes one and gives one that computes the same."""
