"""Into the float network: ONNX, and torch by way of it."""
