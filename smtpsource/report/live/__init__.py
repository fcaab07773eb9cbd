"""A run while it goes on: a picture on a terminal, elsewhere a line a second."""
