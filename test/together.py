"""
All shares of a run, in one process, on one clock that is fake.
"""

from __future__ import annotations

import re
from functools import partial
from sys import maxsize

from sessions import ADDRESSES, Server

from smtpsource.load.kinds import kindOf
from smtpsource.load.leased import LeasedRun
from smtpsource.measure.counters import OUTCOMES
from smtpsource.measure.recorder import Recorder
from smtpsource.pacing.share import Share
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor


def ids(server):
    """
    The ids of all messages that a server has got.
    """
    return sorted(re.search(rb"Message-Id: (.*)\r\n", content)[1] for content in server.contents)


class Pool:
    """
    Lends messages to runs, as their parent does: all are lent, each once; and what is wanted again after a warm-up
    waits until all have ended theirs.

    @ivar lent: for each run, what it was lent: the first number and how many.
    """

    def __init__(self, reactor, runs, size, delay):
        """
        @param size: how many to lend of those that are wanted; called with that and how many are left.
        @param delay: gives the seconds until the answer arrives.
        """
        plan = runs[0].plan
        self.reactor, self.runs, self.size, self.delay = reactor, runs, size, delay
        self.rest = maxsize if plan.warmUp else plan.messageLimit
        self.next = 1
        self.lent = [[] for _ in runs]
        self.deferred = []
        # Each session has its first message.
        self.owed = [0 if plan.stages else run.share.of(min(plan.sessionCount, plan.messageLimit)) for run in runs]
        for run in runs:
            run.want = partial(self.want, run)

    def want(self, run, count):
        assert count > 0
        if run.epoch == 1 and (self.deferred or self.rest > 10**9):
            self.deferred.append((run, count))
            if len(self.deferred) == len(self.runs):
                self.rest = max(0, run.plan.messageLimit - sum(each.recorder.inFlight for each in self.runs))
                deferred, self.deferred = self.deferred, []
                for each, wanted in deferred:
                    self.answer(each, wanted, 1)
        else:
            self.answer(run, count, run.epoch)

    def answer(self, run, count, epoch):
        owed, self.owed[run.share.index] = self.owed[run.share.index], 0
        count = min(self.rest - sum(self.owed), max(owed, min(count, self.size(count, self.rest))))
        self.lent[run.share.index].append((self.next, count))
        self.reactor.callLater(self.delay(), run.lease, self.next, count, epoch)
        self.next += count
        self.rest -= count


class Together:
    """
    All shares of a run, in one process, on one clock that is fake.
    """

    def __init__(
        self,
        count,
        server=None,
        size=lambda wanted, rest: max(1, min(wanted, rest // 8)),
        delay=0.001,
        reactor=None,
        **plan,
    ):
        self.reactor = FakeReactor() if reactor is None else reactor
        self.reactor.server = Server() if server is None else server
        self.plan = SourcePlan(destination="127.0.0.1", myhostname="me", **plan)
        self.ended, self.troubles, self.broken, self.runs = [], [], [], []
        for share in (Share(index, count) for index in range(count)):
            recorder = Recorder()
            self.runs.append(
                kindOf(self.plan, share)(
                    self.reactor,
                    self.plan,
                    recorder,
                    self.reactor.seconds,
                    lambda share=share: self.ended.append(share.index),
                    lambda line: None,
                    lambda began, recorder=recorder: self.warm(recorder),
                    share=share,
                    runId=b"0123456789abcdef",
                    whenTrouble=self.troubles.append,
                    whenBroken=lambda kind, text: self.broken.append((kind, text)),
                )
            )
        self.early = 0
        self.begun = self.reactor.seconds() + 0.02
        self.pool = None
        if isinstance(self.runs[0], LeasedRun):
            self.pool = Pool(self.reactor, self.runs, size, delay if callable(delay) else lambda: delay)
        for run in self.runs:
            run.begin(ADDRESSES, self.begun)

    def warm(self, recorder):
        """
        One of them has ended its warm-up.
        """
        self.early += recorder.started - recorder.inFlight
        recorder.restart()
        return dict.fromkeys(OUTCOMES, 0)

    def until(self, isSo, limit=10_000):
        """
        Let time pass until something is so.
        """
        while not isSo():
            calls = [call.getTime() for call in self.reactor.getDelayedCalls()]
            assert calls, "nothing is going to happen any more"
            self.reactor.advance(max(0, min(calls) - self.reactor.seconds()))
            assert self.reactor.seconds() - self.begun < limit, "it takes too long"

    def finish(self):
        """
        Let time pass until all are over.
        """
        self.until(lambda: len(self.ended) == len(self.runs))
        self.reactor.advance(0)

    def total(self, name):
        """
        A counter of all.
        """
        return sum(getattr(run.recorder, name) for run in self.runs)
