"""What several device families share: the graphs of the proof of work and their kernels."""
