"""Executing calls that are in no block, in processes that can be ended in the middle."""
