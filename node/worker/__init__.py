"""Blocks are executed and written in a process of their own, so that the node keeps answering."""
