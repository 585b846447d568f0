"""The model representation tool: float networks to integer models in either form."""
