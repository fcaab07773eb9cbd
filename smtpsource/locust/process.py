"""
A process of ours beside a process of gevent's.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

import gevent
from gevent import os as geventOS
from gevent.event import Event
from gevent.queue import Queue

from smtpsource.process.children import environment, howEnded, program
from smtpsource.workers.envelopes import Framed, framed
from smtpsource.workers.wire import READ, WRITE

#: Descriptors of ours from here on: none of them is one of the child's.
_ABOVE = 10

#: How much is read at once.
_PIECE = 1 << 16


class Process:
    """
    A fresh interpreter that is spoken to over its descriptors 3 and 4. It ignores the signals that end this process,
    and ends when this one is gone. C{posix_spawn} makes it, so nothing of gevent's gets into it.

    @ivar ended: an event: it is gone, and all that it has said was told.
    @ivar how: how it ended: empty if it did so in order, else as one line.
    """

    how = ""

    def __init__(
        self, module: str, said: Callable[[bytes], object], whenGone: Callable[[], object], *arguments: str
    ) -> None:
        """
        Start it.

        @param module: whose C{main} it is to run.
        @param said: called with each message of its.
        @param whenGone: called when it is gone.
        @param arguments: what C{main} gets, if anything.
        @raise OSError: it can't be started.
        """
        self.ended = Event()
        self._said = said
        self._whenGone = whenGone
        self._reason = ""
        self._messages: Queue = Queue()
        theirs, self._toChild = _pipe()
        self._fromChild, alsoTheirs = _pipe()
        # -P: nothing may be imported from the current directory.
        command = [sys.executable, "-P", "-c", program(module, *arguments)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, theirs, READ),
            (os.POSIX_SPAWN_DUP2, alsoTheirs, WRITE),
        ]
        try:
            self._pid = geventOS.posix_spawn(sys.executable, command, environment(), file_actions=actions)
        except OSError:
            os.close(self._toChild)
            os.close(self._fromChild)
            raise
        finally:
            os.close(theirs)
            os.close(alsoTheirs)
        for descriptor in (self._toChild, self._fromChild):
            geventOS.make_nonblocking(descriptor)
        gevent.spawn(self._write)
        gevent.spawn(self._read)

    def send(self, message: bytes) -> None:
        """
        Say something to it. If it is gone, nobody hears it.
        """
        self._messages.put(message)

    def close(self) -> None:
        """
        Say no more: so it knows that nobody is there, and ends.
        """
        self._messages.put(None)

    def kill(self, reason: str) -> None:
        """
        End it, whatever it does.

        @param reason: why, as one line, which is how it ended.
        """
        self._reason = self._reason or reason
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _write(self) -> None:
        for message in iter(self._messages.get, None):
            data = memoryview(framed(message))
            try:
                while data:
                    data = data[geventOS.nb_write(self._toChild, data) :]
            except OSError:
                break  # it is gone, or will be soon
        os.close(self._toChild)

    def _read(self) -> None:
        words = Framed()
        try:
            while data := geventOS.nb_read(self._fromChild, _PIECE):
                for message in words.received(data):
                    self._said(message)
        except (OSError, ValueError) as e:
            self.kill(f"said what makes no sense: {e}")
        finally:
            os.close(self._fromChild)
            self.close()
            _, status = geventOS.waitpid(self._pid, 0)
            self.how = self._reason or howEnded(os.waitstatus_to_exitcode(status))
            self.ended.set()
            self._whenGone()


def _pipe() -> tuple[int, int]:
    """
    A pipe, both ends of it out of the way of the child's descriptors.
    """
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
