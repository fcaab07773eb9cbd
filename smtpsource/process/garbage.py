"""
Python's garbage collector, in a process that is all ours.
"""

from __future__ import annotations

import gc

#: How many more objects than now there may be before Python looks for cycles: a run makes thousands of short-lived
#: ones a second, and hardly a cycle.
_THRESHOLD = 20_000


def pause() -> None:
    """
    Do not look for cycles before L{relax}: until then there are only imports, and what they make stays.
    """
    gc.disable()


def relax() -> None:
    """
    Look for cycles less often, and never among what is there already: modules and options stay for good. This takes
    several per cent off what a message costs. Not for a program that only embeds us.
    """
    gc.freeze()
    gc.set_threshold(_THRESHOLD, 10, 10)
    gc.enable()
