"""
The process in which a command of C{--at} or C{--every} has its shell: a program that imports nothing of ours, started
by its path.

It is the first of a session of its own, and the command of a process group: no Ctrl-C reaches them. It reads what the
command writes, says how the shell has ended, and ends itself when nothing is left of that session; or when its parent
is gone, by whatever means: then what is left is killed. A daemon has a session of its own.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time

#: The end of this descriptor is the end of the parent, or of its patience.
PARENT = 3

#: Where it says how the shell has ended, as C{os.waitstatus_to_exitcode} has it, in a line; and then what was written.
ENDED = 4

#: How many bytes are kept of what a command has written, its last.
KEPT = 2048

#: Seconds between two looks at whether something is left, each of which reads about all processes: first, and at most.
_LOOK, _RARELY = 0.5, 8.0

#: Seconds until all is read that it has written, if it has ended.
_DRAIN = 0.25

#: Bytes that are read at once, and the seconds until the next time: some ten megabytes a second take little of a
#: processor, and who writes more has to wait.
_PIECE, _PAUSE = 1 << 16, 0.005

#: What could end it before all others: a command has them as usual.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)

#: Seconds between the first two attempts to kill what is left.
_AGAIN = 0.01


class Output:
    """
    What a command writes.

    @ivar writing: where it does.
    @ivar last: the last of it.
    @ivar isOver: is there nobody left who could write?
    """

    def __init__(self) -> None:
        self.last = b""
        self.isOver = False
        self._reading, self.writing = os.pipe()
        self._again = 0.0

    def wait(self, others: list[int], until: float) -> list[int]:
        """
        Wait, and read if there is something to read.

        @param others: descriptors to wait for as well.
        @param until: wait until then at most, on the monotonic clock.
        @return: those of the others that are ready.
        """
        isPaused = self._again > time.monotonic()
        sources = others if isPaused or self.isOver else [*others, self._reading]
        until = min(until, self._again) if isPaused else until
        seconds = None if until == math.inf else max(0.0, until - time.monotonic())
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._reading in ready:
            piece = os.read(self._reading, _PIECE)
            self.last = (self.last + piece)[-KEPT:]
            self.isOver = not piece
            self._again = time.monotonic() + _PAUSE
        return [each for each in ready if each != self._reading]

    def drain(self) -> None:
        """
        Read what is there now: a pipe holds no more than a piece.
        """
        self._again = 0.0
        self.wait([], 0.0)


def main(command: str) -> None:
    """
    Run it.
    """
    os.setsid()
    session = os.getpid()
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    wakened, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    # What others have blocked, a shell would have blocked as well.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    output = Output()
    shell = os.fork()
    if shell == 0:
        _shell(command, output.writing)
    _join(shell, shell)
    os.close(output.writing)
    status: int | None = None
    isWhole = False
    until, seconds = math.inf, _LOOK
    while PARENT not in (ready := output.wait([PARENT, wakened], until)):
        if wakened in ready:
            os.read(wakened, 512)
        if status is None:
            status = _statusOf(shell)
            if status is not None:
                _say(b"%d\n" % status)
                until = time.monotonic() + _DRAIN
        if status is not None and (output.isOver or time.monotonic() >= until):
            if not isWhole:
                isWhole = True
                _say(output.last)
                os.close(ENDED)
            if not _processes(session, shell):
                return
            until, seconds = time.monotonic() + seconds, min(2 * seconds, _RARELY)
    isSaid, seconds = status is not None, _AGAIN
    while sweep(session, shell):
        time.sleep(seconds)
        seconds = min(2 * seconds, _LOOK)
        if status is None:
            status = _statusOf(shell)  # where there is no /proc it would be left until then
    if not isSaid:
        status = _statusOf(shell) if status is None else status
        _say(b"%d\n" % (-signal.SIGKILL if status is None else status))
    if not isWhole:
        output.drain()
        _say(output.last)


def sweep(session: int, group: int | None = None) -> bool:
    """
    Kill all processes of a session, but for this one.

    @param group: one of its process groups, for where there is no C{/proc}.
    @return: was there one? Then it may have started another one meanwhile: look again.
    """
    found = _processes(session, group)
    for process, itsGroup in found:
        try:
            # A whole group at once can't run away by starting others.
            if itsGroup != session:
                os.killpg(itsGroup, signal.SIGKILL)
            else:
                os.kill(process, signal.SIGKILL)
        except OSError:
            pass  # it has ended; or it is somebody else's by now, and stays
    return bool(found)


def _processes(session: int, group: int | None) -> list[tuple[int, int]]:
    """
    The processes of a session and their groups, without this one and those that have ended.
    """
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        numbers = []
    found = []
    for number in numbers:
        try:
            with open(f"/proc/{number}/stat", "rb") as file:
                # The name in parentheses may hold anything.
                state, _, itsGroup, itsSession = file.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # it has ended
        if int(itsSession) == session and number != os.getpid() and state not in b"ZX":
            found.append((number, int(itsGroup)))
    if any(number == session for number, _ in found):
        return []  # its first has ended, and with it the session: that is a stranger with the same number
    if not numbers and group is not None:
        try:
            os.killpg(group, 0)
            found.append((group, group))
        except OSError:
            pass
    return found


def _shell(command: str, writing: int) -> None:
    try:
        _join(0, 0)
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.closerange(PARENT, ENDED + 16)
        os.execv("/bin/sh", ["sh", "-c", command])
    finally:
        os._exit(127)


def _join(process: int, group: int) -> None:
    """
    Both do that, so that it is done whoever comes first.
    """
    try:
        os.setpgid(process, group)
    except OSError:
        pass  # it has been done, or the shell has begun


def _statusOf(shell: int) -> int | None:
    pid, status = os.waitpid(shell, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _say(text: bytes) -> None:
    try:
        os.write(ENDED, text)
    except OSError:
        pass  # nobody is there any more: that is found anyway


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as e:
        _say(f"127\ncan't start it: {e.strerror}\n".encode())
