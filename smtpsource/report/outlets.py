"""
Where a process of ours says something: standard output and standard error, or the log of a daemon.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smtpsource.process.streams import Outlet

_log = Logger(namespace="smtpsource")


class LogStream:
    """
    A text stream into the log, for a daemon: it has no terminal.
    """

    def write(self, text: str) -> int:
        """
        Log each line.
        """
        for line in text.splitlines():
            _log.info("{line}", line=line)
        return len(text)

    def flush(self) -> None:
        """
        The log does that.
        """

    def isatty(self) -> bool:
        """
        Never.
        """
        return False


class Outlets(dict[str, Outlet]):
    """
    The process's own streams by their names in C{sys}, even where twistd has redirected C{sys.stdout} into its log.
    """

    def of(self, name: str, *, daemonized: bool) -> Outlet:
        """
        @param daemonized: is there no terminal?
        """
        if name not in self:
            stream: Any = LogStream() if daemonized else getattr(sys, name)
            self[name] = Outlet(stream)
        return self[name]


def attended(reactor: IReactorTime, outlet: Outlet) -> Outlet:
    """
    The same, now that there is a reactor that sees to what it keeps.
    """
    outlet.attend(reactor)
    return outlet
