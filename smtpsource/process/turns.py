"""
Very many things to do, some in each turn of the reactor, so that nothing else waits for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TypeVar

_Thing = TypeVar("_Thing")

#: So many are done before anybody looks at the time.
FEW = 100

#: For so many seconds it goes on in one turn.
TURN = 0.01


def inTurns(
    things: Iterable[_Thing],
    do: Callable[[_Thing], object],
    later: Callable[[Callable[[], None]], object],
    then: Callable[[], object] = lambda: None,
) -> None:
    """
    Do the same with many things: with some of them at once, with the others in later turns.

    @param things: they are asked for one after the other, each in its turn.
    @param later: calls something in a later turn.
    @param then: called when all is done.
    """
    rest = iter(things)
    until = perf_counter() + TURN
    while True:
        some = 0
        for thing in islice(rest, FEW):
            do(thing)
            some += 1
        if some < FEW:
            then()
            return
        if perf_counter() >= until:
            later(partial(inTurns, rest, do, later, then))
            return
