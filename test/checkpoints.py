"""
Checkpoints for tests: of runs in memory, and as they are in files.
"""

from __future__ import annotations

from pathlib import Path

from patience import PATIENCE
from sessions import Server

from smtpsource.load.service import SourceService
from smtpsource.measure.checkpoint import Reader
from smtpsource.plan import SourcePlan
from smtpsource.report.checkpoint import Checkpoint
from smtpsource.report.recovery import Recovery
from smtpsource.testing import FakeReactor

HEADER = {
    "tool": "smtp-source",
    "version": "1",
    "run": "ab",
    "command": ["smtpsource", "sink:"],
    "begun": 1e9,
    "exercise": "mail",
    "thresholds": [],
    "warmUp": 0.0,
    "percentiles": [50, 99.9],
}


class Recorded:
    """
    A run in memory that has a checkpoint.

    @ivar service: the L{SourceService}.
    @ivar reactor: it has its clock.
    @ivar checkpoint: its checkpoint.
    @ivar told: the lines that people were told.
    @ivar done: its summary, when it is over.
    """

    def __init__(self, path, server=None, *, isAsked=True, **plan):
        self.reactor = FakeReactor(server or Server())
        plan = SourcePlan(destination="127.0.0.1", myhostname="me", **plan)
        self.service = SourceService(self.reactor, plan, clock=self.reactor.seconds, keepIntervals=True)
        self.told, self.done = [], []
        self.checkpoint = Checkpoint(self.service, str(path), self.told.append, isAsked=isAsked)

    def begin(self):
        self.checkpoint.start()
        self.service.whenDone().addCallback(self.done.append)
        self.service.startService()

    def passTime(self, seconds):
        """
        Let time pass.
        """
        end = self.reactor.seconds() + seconds
        while not self.done:
            calls = [call.getTime() for call in self.reactor.getDelayedCalls()]
            if not calls or min(calls) > end:
                break
            self.reactor.advance(max(0.0, min(calls) - self.reactor.seconds()))
        if not self.done:
            self.reactor.advance(end - self.reactor.seconds())

    def cutOff(self):
        """
        It is as if the process had been killed now, with all written that was known after the last second.
        """
        writer = self.checkpoint._writer
        writer.finish(None, {})
        assert writer.wait(PATIENCE), writer.problem
        writer.file.close()


def recovered(path, **others):
    """
    @return: the summary that a checkpoint gives.
    """
    with Reader(str(path)) as reader:
        recovery = Recovery(reader.header, keepIntervals=True)
        recovery.take(reader)
        return recovery.summary(**others)


def recordsIn(path):
    """
    @return: the file of its records, as a C{Path}.
    """
    return Path(path) / "records"
