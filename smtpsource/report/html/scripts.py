"""
The scripts of the page, and the style of what they draw.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

#: Ours, in the order in which they need each other: uPlot draws lines and axes, they do the rest.
OURS = ("values", "colors", "axes", "views", "plots", "tables", "chart", "keys", "page")


@cache
def script() -> str:
    """
    All in one: the C{window} has C{uPlot} and C{smtpsource} of it.
    """
    ours = "".join(_ours(name) for name in OURS)
    return f'{_read("vendor/uPlot.iife.min.js")}\n(() => {{\n"use strict";\n{ours}}})();\n'


@cache
def style() -> str:
    """
    The style sheets of what they draw.
    """
    return _read("vendor/uPlot.min.css") + "\n" + _read("charts.css")


def _ours(name: str) -> str:
    """
    A script without what is for its readers only: it goes along with every report.
    """
    return re.sub(r"(?m)^ *(//.*|/\*\*.*\*/)?\n|^ +", "", _read(f"js/{name}.js"))


def _read(name: str) -> str:
    return (resources.files("smtpsource.report.html") / name).read_text("utf-8")
