"""
A server that keeps a ledger: every final reply that it gave to a content, if all of its bytes were sent. What it does
wrong is drawn from a seed; within that it is honest: each command has one reply, up to the end of the connection.

L{LedgerServer} works in memory and on sockets.
"""

from __future__ import annotations

from random import Random

from twisted.internet.protocol import Factory, Protocol

#: What may go wrong at a reply. Each ends the connection, but for those of the second line.
ENDINGS = ("farewell", "instead", "drop", "silence")
FAULTS = (*ENDINGS, "refuse", "refuse", "refuse")

#: What says that a server takes its leave.
LEAVES = (
    b"421 4.3.2 shutting down\r\n",
    b"421\r\n",
    b"521 5.3.2 no service\r\n",
    b"421-4.3.2 shutting\r\n421 4.3.2 down\r\n",
)


class LedgerConnection(Protocol):
    """
    One connection: what it has said, and which of that were final replies.

    @ivar finals: for each content or, by LMTP, each recipient of it that had a 2yz reply whose bytes were all sent: the
        number of the message on this connection.
    @ivar contents: what came of each message.
    """

    def connectionMade(self):
        self.random = self.factory.random
        self.server = self.factory
        self.server.connections.append(self)
        self.buffer = b""
        self.finals = []
        self.contents = []
        self.messages = 0
        self.over = self.closing = False
        self.expecting = None
        self.pieces = []
        self.sending = False
        self.sent = 0
        self.written = 0
        self.ends = []
        self.reset()
        self.reply(b"220 ledger\r\n", refusable=False)

    def connectionLost(self, reason):
        self.over = True
        self.pieces.clear()

    def reset(self):
        self.mail = False
        self.recipients = 0
        self.spoiled = False
        self.content = b""

    # What the client says

    def dataReceived(self, data):
        if self.over:
            return
        self.buffer += data
        while not self.over and self.step():
            pass

    def step(self):
        """
        @return: was there a command, or a content, as a whole?
        """
        if self.expecting == "content":
            content, found, rest = (b"\r\n" + self.buffer).partition(b"\r\n.\r\n")
            if found:
                self.buffer = rest
                self.content = content[2:]
                self.expecting = None
                self.decide()
            return bool(found)
        if self.expecting is not None:
            size, last = self.expecting
            if len(self.buffer) < size:
                return False
            self.content += self.buffer[:size]
            self.buffer = self.buffer[size:]
            self.expecting = None
            self.chunk(last)
            return True
        line, found, rest = self.buffer.partition(b"\r\n")
        if found:
            self.buffer = rest
            self.command(line)
        return bool(found)

    def command(self, line):
        verb = line.split(b" ")[0].upper()
        if verb in (b"HELO", b"EHLO", b"LHLO"):
            self.reply(
                b"250-ledger\r\n250-PIPELINING\r\n250 CHUNKING\r\n" if verb != b"HELO" else b"250 ledger\r\n", False
            )
        elif verb == b"MAIL":
            if self.mail:
                self.reply(b"503 5.5.1 nested MAIL\r\n", False)
            else:
                self.mail = self.reply(b"250 2.1.0 ok\r\n")
        elif verb == b"RCPT":
            if not self.mail:
                self.reply(b"503 5.5.1 no MAIL\r\n", False)
            elif self.reply(b"250 2.1.5 ok\r\n"):
                self.recipients += 1
        elif verb == b"DATA":
            if not self.recipients:
                self.reply(b"503 5.5.1 no RCPT\r\n", False)
            elif self.reply(b"354 go on\r\n"):
                self.expecting = "content"
        elif verb == b"BDAT":
            self.expecting = (int(line.split()[1]), line.upper().endswith(b"LAST"))
        elif verb == b"RSET":
            self.reset()
            self.reply(b"250 2.0.0 ok\r\n", False)
        elif verb == b"QUIT":
            self.reply(b"221 2.0.0 bye\r\n", False)
            self.leave()
        else:
            self.reply(b"500 5.5.2 what?\r\n", False)

    def chunk(self, last):
        if not self.recipients or self.spoiled:
            self.spoiled = True
            self.reply(b"503 5.5.1 no transaction\r\n", False)
        elif last:
            self.decide()
            return
        elif not self.reply(b"250 2.0.0 chunk\r\n"):
            self.spoiled = True
        if last:
            self.reset()

    def decide(self):
        """
        A content is there: one final reply or, by LMTP, one for each recipient.
        """
        for _ in range(self.recipients if self.server.lmtp else 1):
            if not self.over:
                self.reply(b"250 2.0.0 queued\r\n", final=True)
        self.messages += 1
        self.contents.append(self.content)
        self.reset()

    # What is said to that

    def reply(self, text, refusable=True, final=False):
        """
        @return: was it this reply?
        """
        fault = self.server.fault()
        if fault == "refuse" and not refusable:
            fault = None
        if fault == "twice":
            self.say(text, final)
            self.server.exact = False
        elif fault == "refuse":
            text = self.random.choice((b"450 4.0.0 later\r\n", b"550-5.0.0 no\r\n550 5.0.0 no\r\n"))
            final = False
        elif fault == "drop":
            text = text[: self.random.randrange(len(text))]
            final = False
        elif fault == "instead":
            text = self.random.choice(LEAVES)
            final = False
        if fault != "silence":
            self.say(text, final)
        if fault == "farewell":
            self.say(self.random.choice(LEAVES))
        if fault in ENDINGS:
            self.leave(fault == "silence")
        return fault in (None, "twice", "farewell")

    def say(self, text, final=False):
        self.pieces.append(text)
        self.written += len(text)
        if final:
            self.ends.append((self.written, self.messages))
        if not self.sending:
            self.sending = True
            self.server.reactor.callLater(0, self.send)

    def leave(self, silently=False):
        """
        Say nothing any more, and close if not C{silently} when all is said.
        """
        self.over = True
        self.closing = not silently

    def send(self):
        """
        Send what was said, in pieces.
        """
        waiting = b"".join(self.pieces)
        self.pieces.clear()
        whole = self.random.random() < 0.6 or not waiting
        size = len(waiting) if whole else self.random.randrange(1, len(waiting) + 1)
        if size and self.transport.connected:
            self.transport.write(waiting[:size])
            self.sent += size
            while self.ends and self.ends[0][0] <= self.sent:
                self.finals.append(self.ends.pop(0)[1])
        if size < len(waiting) and self.transport.connected:
            self.pieces.append(waiting[size:])
            self.server.reactor.callLater(self.random.choice((0, 0.001)), self.send)
            return
        self.sending = False
        if self.over and self.closing:
            self.server.close(self.transport)


class LedgerServer(Factory):
    """
    @ivar connections: all there were.
    @ivar exact: has each command had one reply?
    """

    protocol = LedgerConnection
    noisy = False

    def __init__(self, reactor, seed, lmtp=False, faults=FAULTS, often=0.03):
        """
        @param faults: what may go wrong.
        @param often: how often it does, as a part of all replies.
        """
        self.reactor = reactor
        self.random = Random(seed)
        self.lmtp = lmtp
        self.faults = faults
        self.often = often
        self.exact = True
        self.connections = []

    def fault(self):
        """
        @return: what goes wrong now, or C{None}.
        """
        return self.random.choice(self.faults) if self.random.random() < self.often else None

    def close(self, transport):
        """
        Close, but read on: or what was sent last might be lost, on sockets.
        """
        if hasattr(transport, "loseWriteConnection") and not hasattr(transport, "getPeerCertificate"):
            transport.loseWriteConnection()
        else:
            transport.loseConnection()

    @property
    def accepted(self):
        """
        @return: messages for which a 2yz reply was sent, and the number of those replies.
        """
        messages = sum(len(set(connection.finals)) for connection in self.connections)
        return messages, sum(len(connection.finals) for connection in self.connections)
