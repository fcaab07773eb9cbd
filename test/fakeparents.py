"""
Workers as processes, and the other end of their descriptors, where a test says what a parent would.
"""

from __future__ import annotations

import os
import pickle
import sys

from patience import PATIENCE
from twisted.internet import defer, error, protocol

from smtpsource.measure.frame import Frame
from smtpsource.net.destination import TCPAddress, spelled
from smtpsource.pacing.share import WHOLE
from smtpsource.process.children import environment, program
from smtpsource.workers.wire import READ, WRITE, Kind, framed, unpack

#: The id of all runs here.
RUN = b"0123456789abcdef"


def planned(plan, share=WHOLE):
    """
    @return: what a parent says first: a share of this plan is to be done.
    """
    pickled = plan if isinstance(plan, bytes) else pickle.dumps(plan)
    first = {"index": share.index, "count": share.count, "run": RUN.decode("ascii"), "seed": 7}
    return framed(Kind.SHARE, first) + framed(Kind.PLAN, pickled)


class FakeParent(protocol.ProcessProtocol):
    """
    One worker, and what it has said.

    @ivar said: the kinds of all messages, in order.
    @ivar frames: all frames.
    @ivar bodies: of each kind of message, the body of the last.
    @ivar err: what it wrote to standard error.
    @ivar lend: called with how many messages it wants, and gives the first number and the count of those it gets.
    """

    lend = None

    def __init__(self, test, plan=None, share=WHOLE, first=None, arguments=()):
        """
        Start it.

        @param first: what to tell it first, as bytes, if that is not the plan.
        @param arguments: what it is started with.
        """
        from twisted.internet import reactor

        self.said, self.frames, self.bodies, self.err = [], [], {}, b""
        self._reactor = reactor
        self._buffer = b""
        self._waiting = []
        self._status, self._ended = None, False
        self._timer = reactor.callLater(PATIENCE, self._overdue)
        command = [sys.executable, "-P", "-c", program("smtpsource.load.worker", *arguments)]
        pipes = {0: "w", 1: "r", 2: "r", READ: "w", WRITE: "r"}
        self.pid = reactor.spawnProcess(self, sys.executable, command, environment(), childFDs=pipes).pid
        if first is None:
            first = planned(plan, share)
        if first:
            self.write(first)
        test.addCleanup(self._cleanUp)

    # What a test does

    def write(self, data):
        """
        Send some bytes.
        """
        self.transport.writeToChild(READ, data)

    def say(self, kind, **body):
        """
        Send a message.
        """
        self.write(framed(kind, body))

    def go(self, port, at, others=0):
        """
        Let it begin.

        @param port: of 127.0.0.1.
        @param others: there are so many addresses besides that one.
        """
        addresses = [TCPAddress("127.0.0.1", port), *(TCPAddress("127.0.0.2", 1 + other) for other in range(others))]
        self.say(Kind.GO, at=at, addresses=list(map(spelled, addresses)))

    def pause(self):
        """
        Read nothing of what it says.
        """
        self.transport.pipes[WRITE].pauseProducing()

    def resume(self):
        """
        Go on with reading.
        """
        self.transport.pipes[WRITE].resumeProducing()

    def close(self, descriptor):
        """
        Close our end of one of its descriptors.
        """
        self.transport.closeChildFD(descriptor)

    def when(self, condition):
        """
        @param condition: the kind of a message, or a function without parameters.

        @return: a L{defer.Deferred} that fires when such a message has come, with its body, or when this is true; and
            fails with C{EOFError} if the worker has ended without it.
        """
        waiting = defer.Deferred()
        self._waiting.append((condition, waiting))
        self._look()
        return waiting

    def whenEnded(self):
        """
        @return: a L{defer.Deferred} that fires with its exit status; C{None} if it was killed.
        """
        return self.when(lambda: self._ended).addCallback(lambda _: self._status)

    def sum(self, name, epoch=0):
        """
        @return: the sum of a counter over all frames of an epoch.
        """
        return sum(getattr(frame.counters, name) for frame in self.frames if frame.epoch == epoch)

    # What happens to it

    def childDataReceived(self, descriptor, data):
        if descriptor == WRITE:
            self._buffer += data
            while len(self._buffer) >= 4 + (length := int.from_bytes(self._buffer[:4])):
                self._heard(*unpack(self._buffer[4 : 4 + length]))
                self._buffer = self._buffer[4 + length :]
        elif descriptor == 2:
            self.err += data
        self._look()

    def _heard(self, kind, body):
        self.said.append(kind)
        self.bodies[kind] = body
        if kind is Kind.WANT:
            first, count = self.lend(body["count"])
            self.say(Kind.LEASE, first=first, count=count, epoch=body["epoch"])
        elif kind is Kind.FRAME:
            self.frames.append(Frame.decode(body))

    def processEnded(self, reason):
        if self._timer.active():
            self._timer.cancel()
        self._status, self._ended = reason.value.exitCode, True
        self._look()

    def _look(self):
        waiting, self._waiting = self._waiting, []
        for condition, one in waiting:
            if condition in self.bodies if isinstance(condition, Kind) else condition():
                self._reactor.callLater(0, one.callback, self.bodies.get(condition))
            elif self._ended:
                one.errback(EOFError(f"{condition} never came: {self.said}, {self._status}, {self.err}"))
            else:
                self._waiting.append((condition, one))

    def _overdue(self):
        self.err += b"(it was killed, as it ran for too long)"
        self._kill()

    def _kill(self):
        try:
            self.transport.signalProcess("KILL")
        except error.ProcessExitedAlready:
            pass

    def _cleanUp(self):
        if self._ended:
            return None
        self._kill()
        return self.when(lambda: self._ended)


def ledgers(directory):
    """
    @return: the paths of the ledgers in a directory.
    """
    return sorted(os.path.join(directory, name) for name in os.listdir(directory))
