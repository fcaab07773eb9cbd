"""
The process that looks at what is watched: whatever has to be waited for there, a disk or a server, the run has no part
in it.

Its parent says what to watch, as one line of JSON, and gets a line twice a second: C{figures}, by name, and C{missing}:
why there are none, by the name of the thing. It ends when its parent does.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any

from smtpsource.beside.cgroups import UnitLook
from smtpsource.beside.looks import Gone, Look
from smtpsource.beside.processes import ProcessLook
from smtpsource.beside.queues import QueueLook

if TYPE_CHECKING:
    from smtpsource.beside.scrapes import Page

#: Seconds between two looks.
EVERY = 1.0

#: What is older than so many seconds is not told, but for what takes as long to be seen.
OLDEST = 3.0

_KINDS: Mapping[str, Any] = {"pid": ProcessLook, "unit": UnitLook, "postfix-queue": QueueLook}


class Looking:
    """
    Looks at something again and again, in a thread of its own.
    """

    def __init__(self, look: Look) -> None:
        self._look = look
        # What was seen last, and when; and what has kept it from being seen since.
        self._seen: tuple[float, Mapping[str, float]] = (time.monotonic(), {})
        self._problem = "there is no answer"
        self._isGone = False
        # How long one look took: one that takes its time is not made as often.
        self._took = 0.0

    def begin(self) -> None:
        """
        Look, for ever.
        """
        Thread(target=self._run, daemon=True).start()

    def figures(self, now: float) -> Mapping[str, float]:
        """
        What is known.
        """
        return {} if self._isMissing(now) else self._seen[1]

    def missing(self, now: float) -> Mapping[str, str]:
        """
        Why nothing is.
        """
        return {self._look.name: self._problem} if self._isMissing(now) else {}

    def _isMissing(self, now: float) -> bool:
        return self._isGone or now - self._seen[0] > OLDEST + 2 * self._took

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            self.once()
            took = time.monotonic() - began
            # What takes its time has a processor for half of it at the most.
            time.sleep(max(EVERY - took, took))

    def once(self) -> None:
        """
        Look once.
        """
        began = time.monotonic()
        try:
            found = self._look.look()
        except Gone as e:
            self._isGone, self._problem = True, str(e)
        except OSError as e:
            self._problem = e.strerror or str(e) or type(e).__name__
        except Exception as e:  # whatever others say: it can't be read
            self._problem = str(e) or type(e).__name__
        else:
            self._isGone = False
            now = time.monotonic()
            self._took, self._seen = now - began, (now, found)


def looksFor(things: Sequence[Sequence[Any]]) -> Iterator[Look]:
    """
    What looks at these.

    @param things: of each name, kind and where.
    """
    pages: dict[str, Page] = {}
    for name, kind, where in things:
        if kind != "prometheus":
            yield _KINDS[kind](name, where)
            continue
        from smtpsource.beside.scrapes import Page, ScrapeLook  # few have those

        url = where["url"]
        if url not in pages:
            pages[url] = Page(url)
        yield ScrapeLook(name, where, pages[url])


def told(lookings: Sequence[Looking], now: float) -> bytes:
    """
    What the parent is told.
    """
    figures = {name: value for one in lookings for name, value in one.figures(now).items()}
    missing = {name: problem[:200] for one in lookings for name, problem in one.missing(now).items()}
    return json.dumps({"figures": figures, "missing": missing}).encode("ascii") + b"\n"


def main() -> None:
    """
    The process.
    """
    lookings = [Looking(look) for look in looksFor(json.loads(sys.stdin.readline()))]
    for one in lookings:
        one.begin()
    # The first looks take some milliseconds.
    due = time.monotonic() + EVERY / 10
    while True:
        ready, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
        if ready:
            break  # nothing more is said: that is the end
        try:
            _write(told(lookings, time.monotonic()))
        except OSError:
            break
        due = max(due + EVERY / 2, time.monotonic())
    os._exit(0)  # threads may wait for a disk


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
