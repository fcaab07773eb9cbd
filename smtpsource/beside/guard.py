"""
The process in which a command of C{--at} or C{--every} has its shell: a program that imports nothing of ours, started
by its path.

It is the first of a session of its own, and the command of a process group: no Ctrl-C reaches them. It says how the
shell has ended, and ends itself when nothing is left of that group; or when its parent is gone, by whatever means: then
what is left is killed.
"""

from __future__ import annotations

import os
import select
import signal
import sys

#: The end of this descriptor is the end of the parent, or of its patience.
PARENT = 3

#: Where it says how the shell has ended: as C{os.waitstatus_to_exitcode} has it, in a line.
ENDED = 4

#: Seconds between two looks at whether something is left.
_LOOK = 0.5


def main(command: str) -> None:
    """
    Run it.
    """
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    wakened, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    # What others have blocked, a shell would have blocked as well.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    group = os.fork()
    if group == 0:
        _shell(command)
    _join(group, group)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.dup2(1, 2)
    status: int | None = None
    while status is None:
        ready, _, _ = select.select([PARENT, wakened], [], [])
        if PARENT in ready:
            break
        os.read(wakened, 512)
        pid, waited = os.waitpid(group, os.WNOHANG)
        if pid:
            status = os.waitstatus_to_exitcode(waited)
            os.write(ENDED, f"{status}\n".encode())
    # Until the shell is waited for nobody else has its number; and after that as long as one of its group is left.
    while _isLeft(group):
        if select.select([PARENT], [], [], 0 if status is None else _LOOK)[0]:
            os.killpg(group, signal.SIGKILL)
            break
    if status is None:
        os.waitpid(group, 0)


def _shell(command: str) -> None:
    try:
        _join(0, 0)
        os.dup2(1, 2)
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


def _isLeft(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as e:
        sys.stdout.write(f"can't start it: {e.strerror}\n")
        sys.stdout.flush()
        os.write(ENDED, b"127\n")
