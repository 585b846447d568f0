"""Inference on GPUs: one source for CUDA, HIP and the host, and what lays a plan out for it."""
