"""Integer inference for every family: a program fused into layers, and what computes them."""
