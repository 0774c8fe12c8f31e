"""Features of data directories: their statistics and checks."""
