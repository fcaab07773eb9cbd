"""
Hypothesis as our tests use it: C{given} and C{settings}, without its limits for time. They are for machines that have
nothing else to do.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

__all__ = ["given", "settings"]
