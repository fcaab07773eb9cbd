"""
A second copy of the package, which does without the compiled twin, to compare them in one process.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module


def _ours():
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "smtpsource"}


@cache
def pure(name):
    """
    @param name: of a module of the package.
    @return: another module of that name, in pure Python, that belongs to other such modules.
    """
    compiled = _ours()
    for other in compiled:
        del sys.modules[other]
    sys.modules.update(_copy)
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "1"
    try:
        return import_module(name)
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
        _copy.update(_ours())
        for other in _copy:
            sys.modules.pop(other, None)
        sys.modules.update(compiled)
        # A package knows its modules as attributes, too; and importing some anew may have made others of them.
        for other, module in compiled.items():
            package, _, own = other.rpartition(".")
            if package:
                setattr(compiled[package], own, module)


_VARIABLE = "SMTPSOURCE_PURE_PYTHON"
_copy = {}
