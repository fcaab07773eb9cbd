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
    before = os.environ.get("SMTPSOURCE_PURE_PYTHON")
    os.environ["SMTPSOURCE_PURE_PYTHON"] = "1"
    try:
        return import_module(name)
    finally:
        if before is None:
            del os.environ["SMTPSOURCE_PURE_PYTHON"]
        else:
            os.environ["SMTPSOURCE_PURE_PYTHON"] = before
        _copy.update(_ours())
        for other in _copy:
            sys.modules.pop(other, None)
        sys.modules.update(compiled)


_copy = {}
