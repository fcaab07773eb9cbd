"""
A small relay that does to some messages what a relay must never do.
"""

from __future__ import annotations

import base64
import re
import smtplib
from email.message import EmailMessage, Message

from twisted.internet import defer, threads
from twisted.internet.protocol import ServerFactory
from twisted.protocols.basic import LineReceiver

from smtpsource.ledger import identity

#: The number of a message that was never sent.
GHOST = 1_000_000

_ID = re.compile(rb"^X-Smtpsource-Id: (.*?)\r$", re.M)


class Mail:
    """
    A message on its way.

    @ivar sender: its sender.
    @ivar recipients: those that it is handed to.
    @ivar content: with its line ends, and without stuffed dots.
    """

    def __init__(self, sender, recipients, content):
        self.sender = sender
        self.recipients = recipients
        self.content = content

    @property
    def id(self):
        return _ID.search(self.content)[1]

    @property
    def identity(self):
        return identity.parse(self.id)

    def withId(self, text):
        """
        @return: the same one, with another id.
        """
        return Mail(self.sender, self.recipients, _ID.sub(b"X-Smtpsource-Id: " + text + b"\r", self.content, count=1))

    def withBody(self, body, header=b""):
        """
        @return: the same one, with another body.
        """
        head, _, _ = self.content.partition(b"\r\n\r\n")
        return Mail(self.sender, self.recipients, head + b"\r\n" + header + b"\r\n" + body)

    @property
    def body(self):
        return self.content.partition(b"\r\n\r\n")[2]


class FaultyRelay(ServerFactory):
    """
    It takes messages, acknowledges them, and hands them on, one after the other; but for some of them.

    @ivar faults: what it does to which message instead: a function, by the message's number. It is called with this
        relay and with the L{Mail}, in a thread, and returns the reply, or C{None} for the connection's end.
    """

    def __init__(self, port, faults=None):
        """
        @param port: of 127.0.0.1, where it relays to.
        """
        self._port = port
        self.faults = faults or {}
        self.done = defer.succeed(None)

    def buildProtocol(self, address):
        conversation = _Conversation()
        conversation.factory = self
        return conversation

    def take(self, mail):
        """
        @return: a L{defer.Deferred} that fires with the reply.
        """
        fault = self.faults.get(mail.identity.number)
        if fault is not None:
            return self._later(fault, self, mail)
        self._later(self.deliver, mail)
        return defer.succeed(b"250 2.0.0 Ok")

    def _later(self, function, *arguments):
        """
        Do this when all before it is done.
        """
        self.done.addCallback(lambda _: threads.deferToThread(function, *arguments))
        result = defer.Deferred()

        def done(value):
            result.callback(value)

        self.done.addCallback(done)
        return result

    def deliver(self, mail, quits=True):
        """
        Hand it on.

        @param quits: or the connection ends as soon as the reply is there.

        @return: the reply.
        """
        client = smtplib.SMTP("127.0.0.1", self._port, "relay.example", timeout=60)
        try:
            client.ehlo()
            client.mail(mail.sender)
            for recipient in mail.recipients:
                client.rcpt(recipient)
            code, text = client.data(mail.content)
            if quits:
                client.quit()
        finally:
            client.close()
        return b"%d %b" % (code, text)


class _Conversation(LineReceiver):
    MAX_LENGTH = 1 << 20

    def connectionMade(self):
        self._content = None
        self.sendLine(b"220 relay.example")

    def lineReceived(self, line):
        if self._content is None:
            self._command(line)
        elif line == b".":
            content = b"".join(one.removeprefix(b".") + b"\r\n" for one in self._content)
            self._content = None
            self.factory.take(Mail(self._sender, self._recipients, content)).addCallback(self._answer)
        else:
            self._content.append(line)

    def _answer(self, reply):
        if reply is None:
            self.transport.abortConnection()
        else:
            self.sendLine(reply)

    def _command(self, line):
        verb = line[:4].upper()
        if verb == b"DATA":
            self._content = []
            return self.sendLine(b"354 Go on")
        if verb == b"QUIT":
            self.sendLine(b"221 Bye")
            return self.transport.loseConnection()
        if verb == b"MAIL":
            self._sender, self._recipients = _address(line), []
        elif verb == b"RCPT":
            self._recipients.append(_address(line))
        self.sendLine(b"250 Ok")


def _address(line):
    return re.search(rb"<([^>]*)>", line)[1].decode()


# What it may do


def lose(relay, mail):
    """
    Acknowledge it, and throw it away.
    """
    return b"250 2.0.0 Ok"


def refuse(relay, mail):
    """
    Refuse it.
    """
    return b"554 5.7.1 No"


def through(relay, mail):
    """
    Say what is said at the other end.
    """
    return relay.deliver(mail)


def swallow(relay, mail):
    """
    Throw it away, and the connection as well.
    """


def silent(relay, mail):
    """
    Hand it on, and tell nobody.
    """
    relay.deliver(mail)


def silentTwice(relay, mail):
    """
    The same, as one does that comes back after a crash.
    """
    relay.deliver(mail)
    relay.deliver(mail)


def twice(relay, mail):
    """
    Hand it on once more.
    """
    relay.deliver(mail)
    return relay.deliver(mail)


def unseen(relay, mail):
    """
    Hand it on once more, for the connection was lost at first.
    """
    relay.deliver(mail, quits=False)
    return relay.deliver(mail)


def forOther(recipient):
    """
    @return: what hands it to somebody else.
    """

    def misdeliver(relay, mail):
        mail.recipients = [recipient]
        return relay.deliver(mail)

    return misdeliver


def astray(relay, mail):
    """
    Hand it to somebody else as well.
    """
    relay.deliver(mail)
    return relay.deliver(Mail(mail.sender, ["somebody@example.com"], mail.content))


def footer(relay, mail):
    """
    Add a line to the body.
    """
    return relay.deliver(mail.withBody(mail.body + b"-- \r\nSent by a relay\r\n"))


def encoded(relay, mail):
    """
    Encode the body.
    """
    body = base64.encodebytes(mail.body).replace(b"\n", b"\r\n")
    return relay.deliver(mail.withBody(body, b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n"))


def damaged(relay, mail):
    """
    Change the id.
    """
    first, _, check = mail.id.rpartition(b"-")
    return relay.deliver(mail.withId(first + b"-" + check.translate(bytes.maketrans(b"0123456789", b"1234567890"))))


def foreign(relay, mail):
    """
    Give it the id of another run.
    """
    return relay.deliver(mail.withId(identity.idOf(b"%016x" % (mail.identity.run ^ 1), mail.identity.number)))


def ghost(relay, mail):
    """
    Hand it on, and another one that was never sent.
    """
    relay.deliver(mail.withId(identity.idOf(b"%016x" % mail.identity.run, GHOST)))
    return relay.deliver(mail)


def anonymous(relay, mail):
    """
    Hand it on, and another one without an id.
    """
    relay.deliver(Mail(mail.sender, mail.recipients, b"Subject: hello\r\n\r\nWho am I?\r\n"))
    return relay.deliver(mail)


def bounce(relay, mail):
    """
    Report that it can't be delivered.
    """
    report = EmailMessage()
    report["From"] = "MAILER-DAEMON@relay.example"
    report["To"] = mail.sender
    report["Subject"] = "Undelivered"
    report.set_content("I'm afraid I wasn't able to deliver it.\n")
    report.make_mixed()
    status = Message()
    status["Content-Type"] = "message/delivery-status"
    first, second = Message(), Message()
    first["Reporting-MTA"] = "dns; relay.example"
    second["Final-Recipient"] = f"rfc822; {mail.recipients[0]}"
    second["Action"] = "failed"
    second["Status"] = "5.1.1"
    status.set_payload([first, second])
    report.attach(status)
    returned = Message()
    returned["Content-Type"] = "text/rfc822-headers"
    returned.set_payload(mail.content.partition(b"\r\n\r\n")[0].decode().replace("\r\n", "\n") + "\n")
    report.attach(returned)
    del report["Content-Type"]
    report["Content-Type"] = 'multipart/report; report-type=delivery-status; boundary="part"'
    relay.deliver(Mail("", [mail.sender], report.as_bytes().replace(b"\n", b"\r\n")))
    return b"250 2.0.0 Ok"
