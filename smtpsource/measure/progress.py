"""
How far a run has come, for those who watch it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.recorder import Recorder
from smtpsource.records import dataclass

if TYPE_CHECKING:
    from smtpsource.measure.search import Searching

#: What a run does at a time, in this order; not every run does all of it. C{starting}: the destination is looked for.
#: C{waiting}: it is known, and it is not time yet to begin.
#: C{warm-up}: what is counted will not be kept. C{ramp-up}: sessions still join. C{draining}: no further message is
#: started, those on their way end. C{catching up}: the schedule is over, and what is overdue is still started.
#: C{delivering}: all is sent, and the server still delivers.
STATES = ("starting", "waiting", "warm-up", "ramp-up", "running", "catching up", "draining", "delivering", "over")

STARTING, WAITING = STATES[:2]
RUNNING, CATCHING_UP, DRAINING, DELIVERING = STATES[4:8]


@dataclass(frozen=True)
class Awaited:
    """
    What is waited for when the load is over.

    @ivar missing: how many messages and recipients may still arrive.
    @ivar silent: seconds since one has, or the server was heard.
    @ivar enough: after so many of them no more are thought to come.
    @ivar left: seconds until nobody waits any longer, though they come.
    """

    missing: int
    silent: float
    enough: float
    left: float


@dataclass(frozen=True)
class Working:
    """
    A worker of a run.

    @ivar state: C{"running"}; C{"over"}, when it has done its part; or C{"lost"}.
    @ivar user: the CPU seconds that it has told to have used in user mode, its warm-up included.
    @ivar system: the same in the kernel.
    """

    state: str
    user: float
    system: float


@dataclass(frozen=True)
class Progress:
    """
    How far a run has come.

    @ivar at: seconds from the start of the run, its warm-up included.
    @ivar state: what it does now, one of L{STATES}.
    @ivar sessions: how many sessions are not over.
    @ivar startsIn: how many seconds there are until it is to begin; C{None} if that is not waited for.
    @ivar asked: how many messages the schedule has asked for by now; C{None} if there is no schedule (closed loop).
    @ivar askedRate: how many a second it asks for now; C{None} likewise.
    @ivar overdue: how many of these are not started; C{None} likewise.
    @ivar ofWarmUp: how many messages have no outcome yet that were wanted in a warm-up that is over.
    @ivar givesUpAt: the seconds from the start of the run after which no overdue message is started; C{None} for no
        limit.
    @ivar total: how many messages there will be, the warm-up's not included; C{None} for no limit.
    @ivar duration: the seconds from the start of the run after which no message is started; C{None} for no limit.
    @ivar exercise: what is counted: see L{smtpsource.measure.summary.Summary}.
    @ivar search: how far the search for a rate has come; C{None} in any other run.
    @ivar hints: what may be wrong with what was asked for, as far as it is known by now.
    @ivar delivered: how far the server has come with delivering; C{None} if nobody looks.
    @ivar awaited: what of that is waited for; C{None} before the load is over.
    @ivar workers: who carries the load, if these are other processes.
    """

    at: float
    state: str
    sessions: int
    asked: float | None = None
    askedRate: float | None = None
    overdue: int | None = None
    ofWarmUp: int = 0
    givesUpAt: float | None = None
    total: int | None = None
    duration: float | None = None
    exercise: str = "mail"
    search: Searching | None = None
    hints: Sequence[str] = ()
    delivered: Delivered | None = None
    awaited: Awaited | None = None
    startsIn: float | None = None
    workers: Sequence[Working] = ()


class Running(Protocol):
    """
    A run that can be watched: a L{smtpsource.load.service.SourceService}.

    @ivar recorder: what is counted.
    """

    recorder: Recorder

    @property
    def percentiles(self) -> Sequence[float]:
        """
        Which ones are told of latencies, in growing order.
        """

    def progress(self) -> Progress:
        """
        How far it has come.
        """

    def byAddress(self) -> Mapping[str, AddressCounts]:
        """
        How often each address of the destination was used, by its text.
        """
