"""The model representation tool: ONNX to an integer model of the Cortex Virtual Machine."""
