"""The remote-inference service (`node.synapse`) with the farm, or this machine alone, behind it."""
