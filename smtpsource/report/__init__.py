"""Faces of a summary: text, JSON and the running counter."""
