"""
What is logged as a failure, in a process that is all ours: people are told in one line, and what can't go on ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO, Any, cast

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    PredicateResult,
    globalLogBeginner,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from smtpsource.process.streams import Lines
from smtpsource.process.unexpected import FATAL, OUT_OF_MEMORY, Breakdown, named

#: Different lines that people are told: who has read so many needs no more.
_MOST = 20


@implementer(ILogObserver)
class FailureObserver:
    """
    Takes notice of failures in the log, such as the reactor's of a call that has raised something.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        breakDown: Callable[[str, str], object],
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """
        @param breakDown: is called by the reactor, with a kind and one line about it, if there is no more memory or the
            reactor can't go on.
        @param tell: is called with one line for people about any other failure, once for each line.
        """
        self._reactor = reactor
        self._breakDown = breakDown
        self._tell = tell
        self._told: set[str] = set()

    def __call__(self, event: dict[str, Any]) -> None:
        """
        See C{ILogObserver}.
        """
        failure = event.get("log_failure") or event.get("failure")
        exception = getattr(failure, "value", None)
        if not isinstance(exception, Exception) or isinstance(exception, Breakdown):
            return  # what ends a run is told in the end
        kind, text = named(exception)
        if text in self._told or len(self._told) > _MOST:
            return
        self._told.add(text)
        if event.get(FATAL) or kind == OUT_OF_MEMORY:
            # Whoever logs may be anywhere, even in another thread.
            self._reactor.callFromThread(self._breakDown, kind, text)
        elif self._tell is not None:
            self._tell(f"{kind}: {text}")


def beginLogging(observer: FailureObserver, file: Lines | None = None) -> None:
    """
    Let this be all that becomes of failures, in a command, those included that nobody can catch, such as in a callback
    of OpenSSL: a traceback helps no user.

    @param file: where all else that is logged goes, if anywhere.
    """

    def notRaised(unraisable: Any) -> None:
        if unraisable.exc_value is not None:
            observer({"log_failure": Failure(unraisable.exc_value)})

    sys.unraisablehook = notRaised
    observers: list[ILogObserver] = [observer]
    if file is not None:
        observers.append(FilteringLogObserver(textFileLogObserver(cast("IO[str]", file)), [_isNoFailure]))
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=file is None)


@provider(ILogFilterPredicate)
def _isNoFailure(event: dict[str, Any]) -> Any:
    return PredicateResult.no if "log_failure" in event or "failure" in event else PredicateResult.maybe


def watchLog(observer: FailureObserver) -> None:
    """
    Look at the log that twistd or twist writes.
    """
    globalLogPublisher.addObserver(observer)
