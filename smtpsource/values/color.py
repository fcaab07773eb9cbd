"""
C{--color}, an option of every command that shows a result.
"""

from __future__ import annotations

from smtpsource.values import names
from smtpsource.values.option import ValueOption

COLOR = ValueOption(
    *("color", None, "WHEN", "auto"),
    "colors in what is shown: auto, on a terminal if NO_COLOR is not set; always, at the end; never",
    names.oneOf("auto", "always", "never"),
)
