"""The mean trimmer for GPUs: one source for CUDA, HIP and the host, and what launches it."""
