"""Out of the float network: the integer forms."""
