"""
C{smtpsource worker}: a process that carries a part of a run's load, as its parent says. No command for people.

What they say to each other is in L{smtpsource.workers.wire}.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

from smtpsource.process import interrupts
from smtpsource.process.exitstatus import leave
from smtpsource.workers.wire import FROM_ELSEWHERE, READ, WRITE, Kind, framed, receive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smtpsource.load.part import Part
    from smtpsource.pacing.share import Share
    from smtpsource.plan import SourcePlan

#: Seconds that a run may take to end when there is no parent any more.
_ENDS_WITHIN = 2.0

_NO_MEMORY = (
    "there is not enough memory for these messages: expected smaller or fewer ones, or a higher limit (ulimit -v)"
)


class Unusable(Exception):
    """
    What the parent wants can't be done; the text is one line.
    """


def main(arguments: Sequence[str] = ()) -> NoReturn:
    """
    The child.

    @param arguments: the reactor to run on, if that matters: a name as C{twistd --help-reactors} has it, or that of the
        class of the parent's. Or L{FROM_ELSEWHERE}.
    @raise SystemExit: always: 0 if all was said that is to be said, 1 if the parent was gone before, 2 if there is
        none, or nobody knows what it wants.
    """
    interrupts.begin()
    # They go to the whole process group, and the parent ends its children in order.
    for number in interrupts.NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    if not _hasParent():
        _complain(f"this is started by smtpsource --workers: expected pipes as descriptors {READ} and {WRITE}")
        leave(2)
    from smtpsource.process.garbage import pause, relax
    from smtpsource.process.later import importTwisted

    pause()
    importTwisted()
    try:
        asked = [receive(READ)]
        if asked[0] is not None and asked[0][0] is Kind.SHARE:
            asked.append(receive(READ))
    except (OSError, ValueError) as e:
        _complain(f"what came on descriptor {READ} is not from a parent: {e}")
        leave(2)
    if None in asked:
        leave(1)  # it is gone already
    try:
        known = [each for each in asked if each is not None]
        if FROM_ELSEWHERE in arguments:
            process = _Process(*_understood(*known, takesPlan=False))
        else:
            process = _Process(*_understood(*known), *arguments[:1])
    except Exception as e:
        from smtpsource.process.unexpected import named

        _say(Kind.UNUSABLE, {"text": str(e) if isinstance(e, Unusable) else named(e)[1]})
        leave(2)
    relax()
    process.run()


def _understood(*asked: tuple[Kind, Any], takesPlan: bool = True) -> tuple[SourcePlan, Share, bytes]:
    """
    What is wanted.

    @param takesPlan: is the parent a process of this machine, that may say what code is to run?
    @raise Unusable: it can't be done, or is nothing to begin with.
    """
    try:
        match asked:
            case [(Kind.SHARE, share), (Kind.PLAN, plan)] if takesPlan:
                return _unpickled(plan), *_shareOf(share)
            case [(Kind.OPTIONS, options)]:
                return _parsed(options), *_shareOf(options)
    except ValueError as e:
        raise Unusable(str(e)) from None
    except MemoryError:
        raise Unusable(_NO_MEMORY) from None
    raise Unusable(f"expected {'a plan' if takesPlan else 'options'} to begin with, not {asked[-1][0].name}")


def _shareOf(asked: dict[str, Any]) -> tuple[Share, bytes]:
    """
    Which part of which run is wanted.

    @raise ValueError: that is none.
    """
    from smtpsource.pacing.share import Share

    try:
        share, runId = Share(int(asked["index"]), int(asked["count"])), asked["run"].encode("ascii")
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"expected index, count and run: {type(e).__name__}: {e}") from None
    if not 0 <= share.index < share.count:
        raise ValueError(f"expected an index below the count of {share.count}, not {share.index}")
    return share, runId


def _unpickled(body: bytes) -> SourcePlan:
    """
    @raise ValueError: it can't be made again here.
    """
    import pickle

    try:
        plan: SourcePlan = pickle.loads(body)
    except MemoryError:
        raise
    except OSError as e:
        raise ValueError(f"{e.filename!r}: {e.strerror}") from None
    except Exception as e:  # whatever there is in another version of ours
        raise ValueError(f"expected the plan of this version: {type(e).__name__}: {e}") from None
    return plan


def _parsed(asked: dict[str, Any]) -> SourcePlan:
    """
    @raise ValueError: that is no command line, or one that can't be used.
    """
    from twisted.python.usage import UsageError

    from smtpsource.cli.source import SourceOptions  # for those who come from another machine

    options = SourceOptions()
    try:
        options.parseOptions(["--workers", str(asked["count"]), *asked["options"]])
        return options.plan.seeded(asked["seed"])
    except UsageError as e:
        raise ValueError(str(e)) from None
    except SystemExit:
        raise ValueError("expected the options of a run, and not --help or --version") from None
    except (KeyError, TypeError, AttributeError) as e:
        raise ValueError(f"expected options and seed: {type(e).__name__}: {e}") from None


class _Process:
    """
    The child, once it knows what to do.
    """

    def __init__(self, plan: SourcePlan, share: Share, runId: bytes, reactor: str | None = None) -> None:
        """
        @raise Unusable: it can't be done.
        """
        from smtpsource.net.reactorchoice import chooseReactor, installLike
        from smtpsource.process.openfiles import raiseFileLimit

        if min(plan.mostSessions, plan.messageLimit) < share.count:
            raise Unusable(f"expected at least {share.count} sessions and messages, one for each worker")
        try:
            if reactor is None or "." not in reactor:
                chooseReactor(reactor)
            else:
                installLike(reactor)
            raiseFileLimit()
            from twisted.internet import reactor as installed  # no earlier

            from smtpsource.load.part import Part
            from smtpsource.workers.parentlink import ParentLink

            self._reactor = reactor_ = cast("Any", installed)
            self._isAlone = self._isOver = False
            self._problem: str | None = None
            self._part: Part = Part(reactor_, plan, share, runId, self._say, self._over)
        except ValueError as e:
            raise Unusable(str(e)) from None
        except MemoryError:
            raise Unusable(_NO_MEMORY) from None
        self._link = ParentLink(self._obey, self._lost, self._part.sayKept)
        self._part.isBehind = lambda: self._link.isBehind

    def run(self) -> NoReturn:
        """
        Do it, up to the end of the process.
        """
        from twisted.internet.stdio import StandardIO

        from smtpsource.process.failurelog import FailureObserver, beginLogging

        beginLogging(FailureObserver(self._reactor, self._part.breakDown, _complain))
        descriptors: Any = StandardIO
        descriptors(self._link, stdin=READ, stdout=WRITE, reactor=self._reactor)
        self._reactor.callWhenRunning(self._part.open)
        # It would take the signals for itself.
        self._reactor.run(installSignalHandlers=False)
        leave(1)

    def _say(self, kind: Kind, body: Any) -> None:
        self._link.say(kind, body)

    def _obey(self, kind: Kind, body: Any) -> None:
        try:
            self._part.obey(kind, body)
        except ValueError as e:
            self._lost(str(e))

    def _over(self) -> None:
        self._isOver = True
        if self._isAlone:
            self._giveUp()
        self._link.finish(lambda: leave(0))

    def _lost(self, problem: str | None) -> None:
        """
        The parent is gone, or out of its mind.
        """
        if self._isAlone:
            return
        self._isAlone, self._problem = True, problem
        if problem is not None:
            _complain(problem)
        if self._isOver:
            self._giveUp()  # it has not read all
        self._reactor.callLater(_ENDS_WITHIN, self._part.end)
        self._part.abandon()

    def _giveUp(self) -> NoReturn:
        leave(1 if self._problem is None else 2)


def _hasParent() -> bool:
    """
    Are there descriptors that a parent has given to this process?
    """
    import stat

    try:
        modes = [os.fstat(descriptor).st_mode for descriptor in (READ, WRITE)]
    except OSError:
        return False
    return all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes)


def _say(kind: Kind, body: dict[str, Any]) -> None:
    """
    Say something short, before there is a reactor.
    """
    try:
        os.write(WRITE, framed(kind, body))
    except OSError:
        pass  # nobody is there to read it


def _complain(line: str) -> None:
    print(f"smtpsource worker: {line}", file=sys.stderr)
