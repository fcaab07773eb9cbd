"""
A mail server for tests that writes down everything it sees and answers as it is told.

A L{RecordingServer} listens inside the test process.  Left alone it answers like a plain SMTP server (or an
LMTP server, with C{lmtp=True}) that takes everything and announces nothing::

    server = RecordingServer()
    self.addCleanup(server.stop)
    server.listenTCP()                      # or listenUNIX(); server.destination says where
    ...
    server.connections[0].received          # every byte, in order
    server.connections[0].verbs             # ["HELO", "MAIL", "RCPT", "DATA", ".", "QUIT"]
    server.connections[0].messages          # [b"From: ...\\r\\n.\\r\\n"]
    server.connections[0].end               # "eof", "reset", "closed", "aborted"

What it shall do differently is told by C{replies}, by verb (C{BANNER}, C{HELO}, C{EHLO}, C{LHLO}, C{MAIL},
C{RCPT}, C{DATA}, C{.}, C{RSET}, C{NOOP}, C{QUIT}, or any other first word in upper case)::

    RecordingServer(replies={
        "MAIL": ["450 4.3.0 Try later", None],          # the first MAIL is refused, all later ones are taken
        "RCPT": "550 5.1.1 No such user",               # every RCPT is refused
        ".": [SILENCE],                                 # the first message is never answered
        "QUIT": [CLOSE],                                # the first QUIT is answered with a FIN
        "DATA": [("421 4.3.2 Shutting down", CLOSE)],   # a reply, then a FIN
        "NOOP": [(Delay(0.2), None)],                   # the normal reply, 0.2 seconds late
        "RSET": (held, None),                           # the normal reply, after held.release(): held = Held()
        "EHLO": multiline(250, "peer.example", "PIPELINING"),
        "HELO": callable,                               # (connection, verb, line, index) -> any of these
    })

One I{step} is one of:

  - C{None}: the normal reply;
  - a text or bytes: a reply line; CRLF is added unless it is there already;
  - L{Raw}: exactly these bytes, which count as no reply (garbage, or half a reply);
  - L{CLOSE}, L{RESET}, L{SILENCE};
  - L{Delay} and L{Held}, useful as part of
  - a tuple of steps: one after the other.

A list is used up step by step across all connections, and then comes the normal reply; anything else stands
for every command of that verb.  In LMTP the final dot takes one step for each recipient that was accepted.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from select import select

from twisted.internet import defer, error, protocol


class Action:
    """
    Something a L{RecordingServer} does instead of replying.
    """

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return self._name


#: End the connection properly (FIN), after all that was said before has been sent.
CLOSE = Action("CLOSE")

#: End the connection at once and rudely (RST; a UNIX socket knows no such thing and is just closed).
RESET = Action("RESET")

#: Answer nothing any more on this connection, but go on listening and recording.
SILENCE = Action("SILENCE")


@dataclass(frozen=True)
class Delay:
    """
    Wait before the next step; later commands on the connection wait as well.

    @ivar seconds: how long.
    """

    seconds: float


class Held:
    """
    Wait before the next step until the test says so; later commands on the connection wait as well.
    """

    def __init__(self):
        self._waiting = []
        self._released = False

    def release(self):
        """
        Let all go on that wait here, and nobody wait from now on.
        """
        self._released = True
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.over()

    def hold(self, over):
        """
        @param over: called when the waiting is over.

        @return: the waiting, which can be cancelled; C{None} if it is over already.
        """
        if self._released:
            return None
        self._waiting.append(_Waiting(self._waiting, over))
        return self._waiting[-1]


class _Waiting:
    """
    One who waits.
    """

    def __init__(self, waiting, over):
        self._waiting = waiting
        self.over = over

    def cancel(self):
        self._waiting.remove(self)


@dataclass(frozen=True)
class Raw:
    """
    Bytes to send as they are, without a thought about whether they are a reply.
    """

    data: bytes


def multiline(code, *lines):
    """
    A reply of several lines (RFC 5321 section 4.2.1).

    @param code: the reply code.
    @param lines: the text of each line.

    @return: the reply, as bytes.
    """
    last = len(lines) - 1
    return b"".join(
        b"%d%s%s\r\n" % (int(code), b"-" if i < last else b" ", line.encode()) for i, line in enumerate(lines)
    )


@dataclass(frozen=True)
class Command:
    """
    A command line that a client sent.

    @ivar verb: its first word in upper case.
    @ivar line: all of it, as bytes without the CRLF.
    @ivar time: when it was complete, in seconds of C{time.monotonic}.
    """

    verb: str
    line: bytes
    time: float


@dataclass(frozen=True)
class Message:
    """
    A message that a client sent.

    @ivar content: the bytes after the DATA line as they were on the wire, with the final dot and its CRLF.
    @ivar time: when it was complete, in seconds of C{time.monotonic}.
    """

    content: bytes
    time: float

    verb = "."


_REPLIES = {
    "BANNER": b"220 recorder.example ready\r\n",
    "HELO": b"250 recorder.example\r\n",
    "EHLO": b"250 recorder.example\r\n",
    "LHLO": b"250 recorder.example\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 End with a dot\r\n",
    ".": b"250 2.0.0 Ok\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    "NOOP": b"250 2.0.0 Ok\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}
_UNKNOWN = b"500 5.5.2 What?\r\n"

_END_OF_DATA = b"\r\n.\r\n"


class RecordedConnection(protocol.Protocol):
    """
    One connection to a L{RecordingServer}, and its record.

    @ivar number: 0 for the first connection the server took, and so on.
    @ivar items: the L{Command}s and L{Message}s received, in order.
    @ivar opened: when the connection was accepted, in seconds of C{time.monotonic}.
    @ivar ended: when it ended, or C{None}.
    @ivar end: how it ended: C{"eof"} (the client closed), C{"reset"} (the client reset), C{"closed"} or
        C{"aborted"} (the script did it), or C{None} as long as it is open.
    @ivar recipients: how many RCPT of the current transaction were accepted.
    """

    end = None
    ended = None
    recipients = 0

    def __init__(self, server, number):
        self.server = server
        self.number = number
        self.items = []
        self._chunks = []
        self._buffer = bytearray()
        self._scanned = 0
        self._inMessage = False
        self._todo = []
        self._delayed = None
        self._silent = False
        self._ourEnd = None

    # The record

    @property
    def received(self):
        """
        Every byte the client sent, in order.
        """
        return b"".join(self._chunks)

    @property
    def unfinished(self):
        """
        The bytes at the end that are not a complete command or message.
        """
        return bytes(self._buffer)

    @property
    def commands(self):
        """
        The L{Command}s received, without the messages.
        """
        return [item for item in self.items if isinstance(item, Command)]

    @property
    def lines(self):
        """
        The command lines received, as bytes without CRLF.
        """
        return [command.line for command in self.commands]

    @property
    def messages(self):
        """
        The contents of the messages received, as they were on the wire.
        """
        return [item.content for item in self.items if isinstance(item, Message)]

    @property
    def verbs(self):
        """
        The verbs received, with C{"."} for each message.
        """
        return [item.verb for item in self.items]

    # The dialogue

    def connectionMade(self):
        self.opened = time.monotonic()
        self.server._connectionOpened(self)
        self._answer("BANNER", b"")

    def dataReceived(self, data):
        self._chunks.append(data)
        self._buffer += data
        self._proceed()
        self.server._changed()

    def _proceed(self):
        """
        Take commands and messages off the buffer as long as nothing is to be waited for.
        """
        while not self._todo and self._delayed is None and not self._ourEnd:
            if self._inMessage:
                if not self._takeMessage():
                    return
            elif not self._takeCommand():
                return

    def _takeCommand(self):
        end = self._buffer.find(b"\r\n", self._scanned)
        if end < 0:
            self._scanned = max(0, len(self._buffer) - 1)
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._scanned = 0
        words = line.split(None, 1)
        verb = words[0].decode("latin-1").upper() if words else ""
        verb = verb.partition(":")[0]
        self.items.append(Command(verb, line, time.monotonic()))
        self._answer(verb, line)
        return True

    def _takeMessage(self):
        if self._buffer.startswith(b".\r\n"):
            end = 3
        else:
            found = self._buffer.find(_END_OF_DATA, self._scanned)
            if found < 0:
                self._scanned = max(0, len(self._buffer) - len(_END_OF_DATA) + 1)
                return False
            end = found + len(_END_OF_DATA)
        content = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 0
        self._inMessage = False
        self.items.append(Message(content, time.monotonic()))
        replies = self.recipients if self.server.lmtp else 1
        self.recipients = 0
        for _ in range(replies):
            self._answer(".", b".")
        return True

    def _answer(self, verb, line):
        step = self.server._step(self, verb, line)
        steps = step if isinstance(step, tuple) else (step,)
        self._todo += [(verb, each) for each in steps]
        self._work()

    def _work(self):
        while self._todo and self._delayed is None and not self._ourEnd and self.end is None:
            verb, step = self._todo.pop(0)
            if isinstance(step, Delay):
                self._delayed = self.server.reactor.callLater(step.seconds, self._delayOver)
            elif isinstance(step, Held):
                self._delayed = step.hold(self._delayOver)
            elif step is CLOSE:
                self._ourEnd = "closed"
                self.transport.loseConnection()
            elif step is RESET:
                self._ourEnd = "aborted"
                self.transport.abortConnection()
            elif step is SILENCE:
                self._silent = True
                self._todo.clear()
            elif not self._silent:
                self._reply(verb, step)

    def _delayOver(self):
        self._delayed = None
        self._work()
        self._proceed()
        self.server._changed()

    def _reply(self, verb, step):
        if isinstance(step, Raw):
            self.transport.write(step.data)
            return
        if step is None:
            step = _REPLIES.get(verb, _UNKNOWN)
        elif isinstance(step, str):
            step = step.encode()
        if not step.endswith(b"\n"):
            step += b"\r\n"
        if verb == "QUIT" and self.server.family != "unix":
            # The reply and the FIN go out together: a client that resets at the reply would do so before the FIN, and
            # then the kernel may take the reset for an end.
            self.transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        self.transport.write(step)
        code = step[:3]
        if verb in ("MAIL", "RSET", "HELO", "EHLO", "LHLO"):
            self.recipients = 0
        elif verb == "RCPT" and code.startswith(b"2"):
            self.recipients += 1
        elif verb == "DATA" and code == b"354":
            self._inMessage = True
        elif verb == "QUIT":
            # A FIN, as from a server that is done; but keep reading, to see how the client goes.
            self.transport.loseWriteConnection()

    def connectionLost(self, reason):
        self.ended = time.monotonic()
        if self._ourEnd:
            self.end = self._ourEnd
        else:
            self.end = "eof" if reason.check(error.ConnectionDone) else "reset"
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None
        self.server._connectionClosed(self)


class RecordingServer(protocol.ServerFactory):
    """
    An SMTP or LMTP server that records what clients send; see the module's text.

    @ivar connections: the L{RecordedConnection}s, in the order they were accepted.
    @ivar open: how many of them are open.
    @ivar maxOpen: how many were open at once at most.
    @ivar family: C{"inet"}, C{"inet6"} or C{"unix"}.
    @ivar address: the host and port it listens on, or the path of the UNIX socket.
    """

    noisy = False
    family = None
    address = None
    open = 0
    maxOpen = 0

    def __init__(self, replies=None, lmtp=False, reactor=None):
        """
        @param replies: the script, see the module's text.
        @param lmtp: whether to answer each final dot once for each accepted recipient (RFC 2033).
        @param reactor: the reactor to listen with; the global one if left out.
        """
        if reactor is None:
            from twisted.internet import reactor
        self.reactor = reactor
        self.lmtp = lmtp
        self.replies = {
            verb: list(script) if isinstance(script, list) else script for verb, script in (replies or {}).items()
        }
        self.connections = []
        self._seen = {}
        self._waiting = []
        self._port = None
        self._directory = None

    # Starting and stopping

    def listenTCP(self, interface="127.0.0.1", backlog=511, port=0):
        """
        Listen on a TCP port.

        @param interface: the address, C{"127.0.0.1"} or C{"::1"}.
        @param backlog: the length of the accept queue.
        @param port: its number; 0 for one that is free.

        @return: this server.
        """
        self._port = self.reactor.listenTCP(port, self, interface=interface, backlog=backlog)
        self.family = "inet6" if ":" in interface else "inet"
        self.address = (interface, self._port.getHost().port)
        return self

    def listenUNIX(self, path=None, backlog=511):
        """
        Listen on a UNIX stream socket.

        @param path: where; in a temporary directory of its own if left out.
        @param backlog: the length of the accept queue.

        @return: this server.
        """
        if path is None:
            self._directory = tempfile.mkdtemp(prefix="recording-")
            path = os.path.join(self._directory, "socket")
        self._port = self.reactor.listenUNIX(path, self, backlog=backlog)
        self.family = "unix"
        self.address = path
        return self

    def listen(self, family="inet"):
        """
        Listen on the loopback interface, or on a UNIX socket.

        @param family: C{"inet"}, C{"inet6"} or C{"unix"}.

        @return: this server.
        """
        if family == "unix":
            return self.listenUNIX()
        return self.listenTCP({"inet": "127.0.0.1", "inet6": "::1"}[family])

    @property
    def port(self):
        """
        The number of the TCP port.
        """
        return self.address[1]

    @property
    def destination(self):
        """
        Where it listens, the way it is written on a command line.
        """
        if self.family == "unix":
            return f"unix:{self.address}"
        return ("[%s]:%d" if self.family == "inet6" else "%s:%d") % self.address

    @defer.inlineCallbacks
    def stopListening(self):
        """
        Take no more connections; those that are open stay.
        """
        port, self._port = self._port, None
        if port is not None:
            yield defer.maybeDeferred(port.stopListening)

    @defer.inlineCallbacks
    def stop(self):
        """
        Stop listening, abort what is open, and wait until all of it is gone.  The record stays.
        """
        yield self.stopListening()
        for connection in self.connections:
            if connection.end is None:
                connection._ourEnd = connection._ourEnd or "aborted"
                connection.transport.abortConnection()
        yield self.when(lambda: self.open == 0)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    # Waiting

    def when(self, condition: Callable[[], object]):
        """
        Wait for something to be in the record.

        @param condition: called now and after each event on a connection.

        @return: a L{defer.Deferred} that fires with this server as soon as the condition holds.
        """
        if condition():
            return defer.succeed(self)
        waiting = defer.Deferred(lambda d: self._waiting.remove(entry))
        entry = (condition, waiting)
        self._waiting.append(entry)
        return waiting

    @defer.inlineCallbacks
    def whenIdle(self):
        """
        Wait until no connection is open and none is in the accept queue.

        @return: a L{defer.Deferred} that fires with this server.
        """
        while True:
            yield self.when(lambda: self.open == 0)
            if self._port is None or not select([self._port.fileno()], [], [], 0)[0]:
                return self
            turn = defer.Deferred()
            self.reactor.callLater(0, turn.callback, None)
            yield turn

    # All connections together

    @property
    def messages(self):
        """
        The contents of all messages, connection by connection.
        """
        return [content for connection in self.connections for content in connection.messages]

    @property
    def lines(self):
        """
        All command lines, connection by connection.
        """
        return [line for connection in self.connections for line in connection.lines]

    def count(self, verb):
        """
        @param verb: a verb; C{"."} counts messages and C{"BANNER"} connections.

        @return: how often it was seen on all connections.
        """
        if verb == "BANNER":
            return len(self.connections)
        return sum(connection.verbs.count(verb) for connection in self.connections)

    # From here on for RecordedConnection

    def buildProtocol(self, addr):
        connection = RecordedConnection(self, len(self.connections))
        connection.factory = self
        self.connections.append(connection)
        return connection

    def _step(self, connection, verb, line):
        index = self._seen.get(verb, 0)
        self._seen[verb] = index + 1
        script = self.replies.get(verb)
        if isinstance(script, list):
            return script.pop(0) if script else None
        if callable(script):
            return script(connection, verb, line, index)
        return script

    def _connectionOpened(self, connection):
        self.open += 1
        self.maxOpen = max(self.maxOpen, self.open)
        self._changed()

    def _connectionClosed(self, connection):
        self.open -= 1
        self._changed()

    def _changed(self):
        for entry in list(self._waiting):
            condition, waiting = entry
            if entry in self._waiting and condition():
                self._waiting.remove(entry)
                waiting.callback(self)


class ServingMixin:
    """
    For test cases that need a L{RecordingServer}.
    """

    def serve(self, replies=None):
        """
        @return: a recording server that ends with the test.
        """
        server = RecordingServer(replies)
        self.addCleanup(server.stop)
        return server.listen()
