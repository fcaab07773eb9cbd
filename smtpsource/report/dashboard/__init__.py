"""A run in a browser while it goes on."""
