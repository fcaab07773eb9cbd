"""
The compiled twin of what is done for each message, where there is one.

A twin has the name of a class here, and the same attributes and methods as far as they are worth it. It stands in front
of that class, which is its reference: whatever is unusual it leaves to it. So nothing depends on it but speed. Where
it was not compiled, or C{SMTPSOURCE_PURE_PYTHON} is set in the environment, the references do everything.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import TypeVar

_Class = TypeVar("_Class", bound=type)


def _found() -> ModuleType | None:
    if os.environ.get("SMTPSOURCE_PURE_PYTHON"):
        return None
    try:
        return import_module("smtpsource._speedups")  # by its name: for type checkers it may not be there
    except ImportError:
        return None


_twins = _found()

#: What does the work: for reports, and those who ask for the version.
NAME = "pure Python" if _twins is None else "compiled"


def compiled(reference: _Class) -> _Class:
    """
    A decorator: put the twin of a class in front of it, if there is one.
    """
    twin = getattr(_twins, reference.__name__, None)
    if twin is None:
        return reference
    described = {name: getattr(reference, name) for name in ("__doc__", "__module__", "__qualname__")}
    return type(reference)(reference.__name__, (twin, reference), described)
