"""
A conversation of our client's dialogue with a server that a test plays, line by line.
"""

from __future__ import annotations

from zope.interface import implementer

from smtpsource.interfaces import IMessage
from smtpsource.measure.recorder import Recorder
from smtpsource.smtp.commands import dialogue
from smtpsource.smtp.protocol import SMTPSourceProtocol
from smtpsource.testing import FakeReactor, FakeTransport, RecordingSession

CONTENT = b"Subject: x\r\n\r\nhello\r\n.\r\n"


@implementer(IMessage)
class Letter:
    """
    A message to a number of recipients.
    """

    mail = b"MAIL FROM:<a@x>\r\n"

    def __init__(self, recipients=1, own=CONTENT, shared=b""):
        self.recipients = recipients
        self.parts = (own, shared)

    def recipientCommands(self):
        return tuple(b"RCPT TO:<%d@x>\r\n" % n for n in range(1, self.recipients + 1))

    def content(self):
        return self.parts

    def bdatContent(self):
        own, shared = self.parts
        return (own, memoryview(shared)[:-3]) if shared else (own[:-3], b"")


class Conversation:
    """
    A client in the middle of a dialogue with a test.
    """

    transportClass = FakeTransport

    def __init__(self, *letters, quits=True, protocol=SMTPSourceProtocol, **kind):
        self.reactor = FakeReactor()
        self.recorder = Recorder()
        self.session = RecordingSession(letters, quits)
        self.client = protocol(self.session, dialogue(b"me", **kind), self.recorder, self.reactor.seconds)
        self.transport = self.transportClass(self.reactor)
        self.transport.protocol = self.client
        self.client.makeConnection(self.transport)

    def say(self, *replies):
        """
        @return: what the client wrote after the last of these replies.
        """
        written = b""
        for reply in replies:
            self.transport.deliver(reply)
            written = self.transport.take()
        return written

    def upTo(self, phase):
        """
        Go on until the client waits for the reply that answers this phase.
        """
        for reply in (b"220 hi\r\n", b"250 helo\r\n", b"250 mail\r\n", b"250 rcpt\r\n", b"354 go\r\n")[:phase]:
            self.transport.deliver(reply)
        self.transport.take()
        return self

    def settle(self):
        """
        Let what the client has closed be closed.
        """
        self.reactor.advance(0)
        return self.events()

    def events(self):
        """
        @return: what the session was told since this was last asked, but for C{ready}.
        """
        events, self.session.events = self.session.events, []
        return [event for event in events if event != ("ready",)]

    def outcomes(self):
        """
        @return: how many messages were accepted or rejected, from all events there are.
        """
        return sum(event[0] in ("accepted", "rejected") for event in self.session.events)


def announcing(*keywords):
    """
    @return: a reply to EHLO.
    """
    lines = [b"server", *keywords]
    return b"".join(b"250-%b\r\n" % line for line in lines[:-1]) + b"250 %b\r\n" % lines[-1]


#: Replies from the banner to the acceptance of a message.
GREETING = (b"220 hi\r\n", b"250 helo\r\n")


ACCEPTING = (b"250 mail\r\n", b"250 rcpt\r\n", b"354 data\r\n", b"250 taken\r\n")
