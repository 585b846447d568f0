"""One file a group of methods, each with its ``METHODS``."""
