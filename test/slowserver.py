"""
A server that takes so many messages a second, and may stand still for a while: what load is like in the real world.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class SlowServer(LineReceiver):
    """
    SMTP, without a look at what is said. All connections share one worker, which answers the contents one by one.
    """

    idle = None

    def connectionMade(self):
        self.inContent = self.busy = False
        self.rest()
        self.waiting = deque()
        self.sendLine(b"220 slow")

    def rest(self):
        """
        End the connection if nothing comes for too long.
        """
        if self.idle is not None and self.idle.active():
            self.idle.cancel()
        if self.factory.patience is not None:
            self.idle = self.factory.reactor.callLater(self.factory.patience, self.giveUp)

    def giveUp(self):
        """
        Nothing came.
        """
        self.sendLine(b"421 4.4.2 idle for too long")
        self.transport.loseConnection()

    def connectionLost(self, reason):
        if self.idle is not None and self.idle.active():
            self.idle.cancel()

    def lineReceived(self, line):
        self.rest()
        self.waiting.append(line)
        self.goOn()

    def goOn(self):
        """
        One after the other: with pipelining there are lines after the content.
        """
        while self.waiting and not self.busy:
            self.answer(self.waiting.popleft())

    def worked(self):
        """
        The content is answered.
        """
        self.busy = False
        self.sendLine(b"250 2.0.0 Ok")
        self.goOn()

    def answer(self, line):
        """
        Answer one line.
        """
        if self.inContent:
            if line == b".":
                self.inContent = False
                self.busy = True
                self.factory.work(self.worked)
        elif line.upper() == b"DATA":
            self.inContent = True
            self.sendLine(b"354 Go ahead")
        elif line.upper() == b"QUIT":
            self.sendLine(b"221 Bye")
            self.transport.loseConnection()
        else:
            self.sendLine(b"250 Ok")


class SlowFactory(Factory):
    """
    The worker of a L{SlowServer}.

    @ivar served: how many contents were answered.
    """

    noisy = False
    protocol = SlowServer

    def __init__(self, reactor, perSecond, freezes=(), patience=None, noise=lambda: 1.0):
        """
        @param perSecond: how many contents it answers in a second.
        @param freezes: when it does nothing: pairs of the time when that begins, from the first content, and its
            seconds.
        @param patience: seconds after which a silent client is hung up on.
        @param noise: gives the part of its time that a content takes, drawn anew for each.
        """
        self.patience = patience
        self.reactor = reactor
        self.served = 0
        self.began = None
        self._each = 1 / perSecond
        self._noise = noise
        self._freezes = freezes
        self._free = 0.0

    def work(self, done):
        """
        Call C{done} when the worker has come to it.
        """
        now = self.reactor.seconds()
        if self.began is None:
            self.began = now
        ends = max(now, self._free) + self._each * self._noise()
        for begin, seconds in self._freezes:
            if self.began + begin <= ends < self.began + begin + seconds:
                ends = self.began + begin + seconds + self._each
        self._free = ends
        self.served += 1
        self.reactor.callLater(ends - now, done)
