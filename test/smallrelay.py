"""
A relay for tests, in this process: it takes responsibility for each message, and delivers it elsewhere as it is told.
"""

from __future__ import annotations

import re
from io import BytesIO

from twisted.internet import defer, reactor
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.mail import smtp
from twisted.python.failure import Failure
from zope.interface import implementer


class SmallRelay:
    """
    It listens on a free port. What it delivers it delivers in order, one message after the other.

    @ivar destination: where it listens, as a command line has it.
    @ivar taken: the ids of the messages that it has acknowledged, in order.
    @ivar delivered: how many it has delivered.
    """

    def __init__(self, test, port, fate=lambda number: 1, pause=0.0, patient=False):
        """
        @param test: the test case; its end is the relay's end.
        @param port: where to deliver to, on 127.0.0.1.
        @param fate: how often to deliver a message, by its number from 0.
        @param pause: seconds before each delivery.
        @param patient: try again until somebody takes a message.
        """
        self._port = port
        self._fate = fate
        self._pause = pause
        self._isPatient = patient
        self._queue = defer.DeferredQueue()
        self._sending = None
        self.taken = []
        self.delivered = 0
        factory = ServerFactory()
        factory.buildProtocol = lambda address: self._session()
        self._listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.destination = f"127.0.0.1:{self._listening.getHost().port}"
        self._sessions = []
        self._delivering = self._deliver()
        test.addCleanup(self.stop)

    @defer.inlineCallbacks
    def stop(self):
        """
        End it, whatever it has yet to deliver.
        """
        yield self._listening.stopListening()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abortConnection()
        self._delivering.addErrback(lambda reason: reason.trap(defer.CancelledError))
        self._delivering.cancel()
        yield self._delivering

    def take(self, sender, recipients, lines):
        """
        A message has come.
        """
        head = b"\n".join(lines)
        self.taken.append(re.search(rb"^X-Smtpsource-Id: *(\S+)", head, re.M)[1].decode())
        for _ in range(self._fate(len(self.taken) - 1)):
            self._queue.put((sender, recipients, head))

    @defer.inlineCallbacks
    def _deliver(self):
        while True:
            sender, recipients, text = yield self._queue.get()
            if self._pause:
                yield deferLater(reactor, self._pause)
            try:
                sent = defer.Deferred()
                factory = _SenderFactory(sender, recipients, BytesIO(text), sent, retries=0)
                reactor.connectTCP("127.0.0.1", self._port, factory)
                yield sent
            except defer.CancelledError:
                raise
            except Exception:
                if self._isPatient:
                    self._queue.put((sender, recipients, text))
                continue  # there is nobody
            self.delivered += 1

    def _session(self):
        session = smtp.ESMTP()
        session.delivery = _Delivery(self)
        session.timeout = None
        self._sessions.append(session)
        return session


class _SenderFactory(smtp.SMTPSenderFactory):
    """
    Keeps to itself what it makes of the reason: it is one object for all connections of this process.
    """

    def clientConnectionLost(self, connector, err):
        super().clientConnectionLost(connector, Failure(err.value))


@implementer(smtp.IMessageDelivery)
class _Delivery:
    """
    Takes what comes on one connection.
    """

    def __init__(self, relay):
        self._relay = relay
        self._sender = b""
        self._recipients = []

    def receivedHeader(self, helo, origin, recipients):
        """
        One trace header.
        """
        return b"Received: from a test"

    def validateFrom(self, helo, origin):
        """
        Anybody.
        """
        self._sender, self._recipients = str(origin), []
        return origin

    def validateTo(self, user):
        """
        To anybody. All recipients share a message.
        """
        self._recipients.append(str(user.dest))
        if len(self._recipients) == 1:
            self._message = _Message(self._relay, self._sender, self._recipients)
        message = self._message
        return lambda: message


@implementer(smtp.IMessage)
class _Message:
    """
    One message while it comes. With several recipients it is told of each line several times.
    """

    def __init__(self, relay, sender, recipients):
        self._relay = relay
        self._envelope = sender, recipients
        self._lines = []
        self._ended = 0

    def lineReceived(self, line):
        """
        More of it.
        """
        self._lines.append(line)

    def eomReceived(self):
        """
        It is whole.
        """
        self._ended += 1
        sender, recipients = self._envelope
        if self._ended == len(recipients):
            self._relay.take(sender, recipients, self._lines[:: len(recipients)])
        return defer.succeed(None)

    def connectionLost(self):
        """
        It will never be.
        """
