"""A run while it goes on: the service that begins it, its sessions, and who watches it."""
