"""
A run that goes on in another process, followed by its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from smtpsource.measure.checkpoint import CheckpointError, Reader
from smtpsource.measure.checkpointlayout import FRAME, MARK, Record
from smtpsource.measure.counters import AddressCounts
from smtpsource.measure.frame import Frame
from smtpsource.measure.marks import Mark
from smtpsource.measure.progress import Progress
from smtpsource.measure.series import Sample
from smtpsource.measure.step import Step
from smtpsource.measure.summary import Summary
from smtpsource.process.unexpected import named
from smtpsource.report.following import Followed
from smtpsource.report.recovery import Recovery

#: Seconds between two looks, and between two parts of what there is already.
INTERVAL, SOON = 0.5, 0.0

#: So many records are read in one turn of the reactor.
_AT_ONCE = 100


class Checkpointed:
    """
    Such a run: what is in its checkpoint already, and what is added to it. It can be shown as one of this process.

    @ivar recorder: what was counted.
    """

    def __init__(self, reactor: Any, path: str) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        @param path: of the checkpoint.
        @raise CheckpointError: there is none.
        """
        self._reactor = reactor
        self._reader = Reader(path)
        self._recovery = Recovery(self._reader.header)
        self._followed = Followed()
        self.recorder = self._followed.recorder
        self._followed.percentiles = self._reader.header["percentiles"]
        self._listeners: list[Callable[[Frame], None]] = []
        self._marks: dict[int, Mark] = {}
        self._waiting: list[Deferred[Summary | str]] = []
        self._result: Summary | str | None = None
        self._read: Deferred[None] = Deferred()
        self._call: Any = None

    @property
    def percentiles(self) -> Sequence[float]:
        """
        Those that are told of latencies.
        """
        return self._followed.percentiles

    @property
    def marks(self) -> Sequence[Mark]:
        """
        What was marked so far.
        """
        return [mark for _, mark in sorted(self._marks.items())]

    def mark(self, text: str) -> Mark:
        """
        That is for the process of the run alone.
        """
        raise NotImplementedError

    @property
    def latest(self) -> Sample | None:
        """
        What happened in the last second; C{None} before it is over.
        """
        return self._recovery.latest[0]

    @property
    def latestStep(self) -> Step | None:
        """
        The same as a step.
        """
        return self._recovery.latest[1]

    def byAddress(self) -> Mapping[str, AddressCounts]:
        """
        That is not told.
        """
        return self._followed.byAddress()

    def progress(self) -> Progress:
        """
        How far it has come.
        """
        return self._followed.progress()

    def onFrame(self, listener: Callable[[Frame], None]) -> None:
        """
        Have something called with each second, those that have been included.
        """
        self._listeners.append(listener)

    def summaryNow(self) -> Summary:
        """
        The summary of what is known: as the run itself would tell it by now.
        """
        if isinstance(self._result, Summary):
            return self._result
        return self._recovery.now()

    def whenDone(self) -> Deferred[Any]:
        """
        @return: fires with its summary, or with why there is none.
        """
        done: Deferred[Any] = Deferred()
        if self._result is None:
            self._waiting.append(done)
        else:
            done.callback(self._result)
        return done

    def whenRead(self) -> Deferred[None]:
        """
        @return: fires once, when all that was there already is read; before, it would be shown as it was some time ago.
        """
        return self._read

    def start(self) -> None:
        """
        Begin to read.
        """
        self._call = self._reactor.callLater(0, self._look)

    def end(self, result: Summary | str) -> None:
        """
        It is over, or nothing more is known.
        """
        if self._result is not None:
            return
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._reader.close()
        self._result = result
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(result)

    def _look(self) -> None:
        # Before what is read: if its process has ended since then, all of it is there.
        isWritten = self._reader.isWritten
        try:
            records = self._reader.poll(_AT_ONCE)
            for kind, content in records:
                self._recovery.take([Record(kind, content)])
                if kind == FRAME:
                    self._followed.take(content)
                    for listener in self._listeners:
                        listener(content)
                elif kind == MARK:
                    place, mark = content
                    self._marks[place] = mark
            if not records and (self._recovery.hasEnd or not isWritten):
                self.end(self._recovery.summary())
                return
        except CheckpointError as e:
            self.end(str(e))
            return
        except Exception as e:
            # Else nobody would look again, and this would never end.
            self.end(": ".join(named(e)))
            return
        self._call = self._reactor.callLater(SOON if records else INTERVAL, self._look)
        if not records and not self._read.called:
            self._read.callback(None)
