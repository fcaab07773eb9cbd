"""
Processes of Python that this one starts.
"""

from __future__ import annotations

import os
import sys


def environment() -> dict[str, str]:
    """
    The environment of a child that is started with C{-P}: it imports what this process would, and nothing from the
    current directory. Relative names of directories mean something else once that has changed.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join([root, *filter(os.path.isabs, sys.path)])
    return dict(os.environ, PYTHONPATH=path)
