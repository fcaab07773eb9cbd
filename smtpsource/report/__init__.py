"""Faces of a result: text, JSON and other forms for programs, metrics, and a view of a run that goes on."""
