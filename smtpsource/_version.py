"""The version, in one place; read by the packaging without importing anything else."""

__version__ = "0.1.0"
