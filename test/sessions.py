"""
A run in memory, whose sessions meet scripted servers.
"""

from __future__ import annotations

import math

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.load.run import Run
from smtpsource.measure.recorder import Recorder
from smtpsource.net.destination import TCPAddress
from smtpsource.plan import SourcePlan
from smtpsource.testing import FakeReactor


class Scripted(Protocol):
    """
    A server whose replies are decided by its factory.
    """

    def connectionMade(self):
        self.buffer = b""
        self.inContent = False
        self.recipients = 0
        self.factory.connections.append(self)
        self.commands = []
        self.lost = None
        self.answer(b"banner", b"220 hi")

    def connectionLost(self, reason):
        self.lost = reason

    def answer(self, event, usual):
        self.commands.append(event)
        said = self.factory.decide(self, event, usual)
        if said == "close":
            self.transport.loseConnection()
        elif said == "reset":
            self.transport.abortConnection()
        elif said is not None:
            self.transport.write(said + b"\r\n")

    def dataReceived(self, data):
        self.buffer += data
        while True:
            end = b"\r\n.\r\n" if self.inContent else b"\r\n"
            line, found, rest = self.buffer.partition(end)
            if not found:
                return
            self.buffer = rest
            if self.inContent:
                self.inContent = False
                self.factory.contents.append(line)
                for _ in range(self.recipients if self.factory.lmtp else 1):
                    self.answer(b"content", b"250 content")
                continue
            verb = line[:4]
            if verb == b"MAIL":
                self.recipients = 0
                self.factory.mails.append(self.transport._reactor.seconds())
            elif verb == b"RCPT":
                self.recipients += 1
            elif verb == b"DATA":
                self.inContent = True
            if verb == b"QUIT":
                self.answer(verb, b"221 bye")
                self.transport.loseConnection()
                return
            self.answer(verb, USUAL.get(verb, b"250 ok"))


class Server(Factory):
    """
    Takes everything, unless C{decide} says otherwise.

    @ivar decide: called with the connection, the event and the usual reply; gives a reply, C{None} for silence, or
        C{"close"} or C{"reset"}.
    """

    protocol = Scripted
    noisy = False

    def __init__(self, decide=None, lmtp=False):
        self.connections = []
        self.contents = []
        self.mails = []
        self.lmtp = lmtp
        if decide is not None:
            self.decide = decide

    def decide(self, connection, event, usual):
        return usual


ADDRESSES = (TCPAddress("127.0.0.1", 25),)


class Going:
    """
    A run, with a fake clock and, if there is one, a server.
    """

    def __init__(self, server=None, where=ADDRESSES, **plan):
        self.reactor = FakeReactor(server)
        self.recorder = Recorder()
        self.ended = []
        self.shown = []
        self.plan = SourcePlan(destination="127.0.0.1", myhostname="me", **plan)
        self.run = Run(
            self.reactor,
            self.plan,
            self.recorder,
            self.reactor.seconds,
            lambda: self.ended.append(1),
            self.shown.append,
        )
        self.run.begin(where)

    def finish(self, limit=100_000):
        """
        Let time pass until it is over.

        @return: how many seconds that took.
        """
        begun = self.reactor.seconds()
        while not self.ended:
            calls = [call.getTime() for call in self.reactor.getDelayedCalls()]
            assert calls, "nothing is going to happen any more, and the run is not over"
            self.reactor.advance(max(0, min(calls) - self.reactor.seconds()))
            assert self.reactor.seconds() - begun < limit, "the run does not end"
        self.reactor.advance(0)
        assert self.ended == [1], self.ended
        return self.reactor.seconds() - begun

    def counts(self):
        """
        @return: messages started, accepted, rejected and failed.
        """
        r = self.recorder
        return (r.started, r.accepted, r.rejected, r.failed)


#: The test's server says this when nothing else was asked for.
USUAL = {b"HELO": b"250 helo", b"LHLO": b"250 lhlo", b"MAIL": b"250 mail", b"RCPT": b"250 rcpt", b"DATA": b"354 data"}


class SessionCase(SynchronousTestCase):
    """
    One session.
    """

    def begin(self, **plan):
        self.reactor = FakeReactor()
        self.recorder = Recorder()
        self.ended = []
        plan = SourcePlan(destination="127.0.0.1", myhostname="me", **plan)
        self.run_ = Run(
            self.reactor, plan, self.recorder, self.reactor.seconds, lambda: self.ended.append(1), lambda line: None
        )
        self.run_.begin([TCPAddress("127.0.0.1", 25)])
        (self.session,) = self.run_.open
        return self.session

    def accept(self, *replies):
        """
        Make the connection, and say these.
        """
        _, self.wire = self.reactor.attempts[0].accept()
        return self.say(*replies)

    def say(self, *replies):
        """
        @return: what the session wrote after the last.
        """
        written = b""
        for reply in replies:
            self.wire.deliver(reply)
            written = self.wire.take()
        self.reactor.advance(0)
        return written

    def counts(self):
        recorder = self.recorder
        return (recorder.started, recorder.accepted, recorder.rejected, recorder.failed)


def times(schedule, most=10**7):
    """
    All times of a schedule.
    """
    found = []
    while schedule.next < math.inf and len(found) < most:
        found.append(schedule.next)
        schedule.advance()
    return found
