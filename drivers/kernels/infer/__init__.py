"""Integer inference for every family: a program fused into layers, and kernels that compute them."""
