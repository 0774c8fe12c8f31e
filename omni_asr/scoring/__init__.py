"""Error counts as sclite makes them, and tables of results."""
