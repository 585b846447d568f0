"""Inference over the farm: what its workers keep and tell, and which of them is asked."""
