"""Built-in trainers, found by file name."""
