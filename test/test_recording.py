"""
Tests for the tools of other tests: L{recording} and L{differential}.
"""

from __future__ import annotations

import os
import sys
import time

from differential import (
    Settings,
    compareTranscripts,
    differences,
    normalized,
    normalizedMessage,
    program,
    run,
    runOne,
    runOurs,
    runPostfix,
)
from patience import TEST_LIMIT
from recording import CLOSE, RESET, SILENCE, Delay, Held, Raw, RecordingServer, multiline
from twisted.internet import defer, error, protocol
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint, connectProtocol
from twisted.trial.unittest import SynchronousTestCase, TestCase


class Client(protocol.Protocol):
    """
    A client that says what a test tells it to say.
    """

    def __init__(self):
        self.received = b""
        self.lost = defer.Deferred()
        self._waiting = []

    def dataReceived(self, data):
        self.received += data
        self._look()

    def connectionLost(self, reason):
        self.reason = reason
        self.lost.callback(self)

    def until(self, text):
        """
        @return: a L{defer.Deferred} that fires when the server has said something.
        """
        waiting = defer.Deferred()
        self._waiting.append((text, waiting))
        self._look()
        return waiting

    def _look(self):
        for entry in list(self._waiting):
            if entry[0] in self.received:
                self._waiting.remove(entry)
                entry[1].callback(self)

    def say(self, *lines):
        """
        Send lines, all at once.
        """
        self.transport.write(b"".join(line + b"\r\n" for line in lines))


MESSAGE = (b"MAIL FROM:<a>", b"RCPT TO:<b>", b"DATA", b"Subject: hi", b"", b"..dot", b".")


class RecordingServerTests(TestCase):
    """
    L{RecordingServer}, seen by a client in the same process.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def dialogue(self, *lines, family="inet", until=None, **settings):
        """
        Connect, send lines all at once, and wait.

        @param until: what to wait for in the server's replies; for the end of the connection if left out.

        @return: a L{defer.Deferred} that fires with the server and the client.
        """
        from twisted.internet import reactor

        server = RecordingServer(**settings).listen(family)
        self.addCleanup(server.stop)
        if family == "unix":
            endpoint = UNIXClientEndpoint(reactor, server.address)
        else:
            endpoint = TCP4ClientEndpoint(reactor, *server.address)
        client = yield connectProtocol(endpoint, Client())
        self.addCleanup(lambda: client.lost)
        self.addCleanup(client.transport.abortConnection)
        client.say(*lines)
        if until is None:
            yield client.lost
        else:
            yield client.until(until)
        return server, client

    @defer.inlineCallbacks
    def test_plainDialogue(self):
        """
        Without a script it answers like any server, and records every byte.
        """
        lines = (b"HELO me", *MESSAGE, b"NOOP", b"RSET", b"WHAT ever", b"quit")
        before = time.monotonic()
        server, client = yield self.dialogue(*lines)
        codes = [int(line[:3]) for line in client.received.splitlines()]
        self.assertEqual([220, 250, 250, 250, 354, 250, 250, 250, 500, 221], codes)
        (connection,) = server.connections
        self.assertEqual(b"".join(line + b"\r\n" for line in lines), connection.received)
        self.assertEqual(["HELO", "MAIL", "RCPT", "DATA", ".", "NOOP", "RSET", "WHAT", "QUIT"], connection.verbs)
        self.assertEqual([b"HELO me", b"MAIL FROM:<a>"], connection.lines[:2])
        self.assertEqual([b"Subject: hi\r\n\r\n..dot\r\n.\r\n"], connection.messages)
        self.assertEqual(connection.messages, server.messages)
        self.assertEqual((1, 1, 1), tuple(map(server.count, ["BANNER", "MAIL", "."])))
        times = [item.time for item in connection.items]
        self.assertEqual(times, sorted(times))
        self.assertLessEqual(before, times[0])
        yield server.whenIdle()
        self.assertEqual(("eof", 0, 1), (connection.end, server.open, server.maxOpen))

    @defer.inlineCallbacks
    def test_emptyMessage(self):
        """
        A dot right after DATA is the end of a message.
        """
        server, _ = yield self.dialogue(b"MAIL FROM:<>", b"RCPT TO:<b>", b"DATA", b".", b"QUIT")
        self.assertEqual([b".\r\n"], server.messages)
        self.assertEqual("QUIT", server.connections[0].verbs[-1])

    @defer.inlineCallbacks
    def test_byteByByte(self):
        """
        How the bytes are cut into packets doesn't matter.
        """
        server, client = yield self.dialogue(until=b"220 ")
        for byte in b"\r\n".join((*MESSAGE, b"QUIT", b"")):
            server.connections[0].dataReceived(bytes([byte]))
        yield client.lost
        self.assertEqual([b"Subject: hi\r\n\r\n..dot\r\n.\r\n"], server.messages)
        self.assertEqual(["MAIL", "RCPT", "DATA", ".", "QUIT"], server.connections[0].verbs)

    @defer.inlineCallbacks
    def test_LMTP(self):
        """
        In LMTP there is one reply to the final dot for each recipient that was accepted, and each takes one
        step of the script.
        """
        lines = (b"LHLO me", b"MAIL FROM:<a>", b"RCPT TO:<b>", b"RCPT TO:<c>", b"RCPT TO:<d>", b"DATA", b".")
        replies = {"RCPT": [None, "550 no"], ".": ["250 first", "451 second", "251 third"]}
        _, client = yield self.dialogue(*lines, b"QUIT", lmtp=True, replies=replies)
        self.assertIn(b"354 End with a dot\r\n250 first\r\n451 second\r\n221 ", client.received)

    @defer.inlineCallbacks
    def test_script(self):
        """
        A list is used up, anything else stays, and a function is asked.
        """
        asked = []

        def function(connection, verb, line, index):
            asked.append((connection.number, verb, line, index))
            return b"299 hm\r\n" if index else None

        replies = {
            "BANNER": "220 hello",
            "NOOP": [None, "450 later", multiline(250, "one", "two")],
            "VRFY": "252 perhaps",
            "HELP": function,
        }
        lines = (b"NOOP",) * 4 + (b"VRFY a", b"VRFY b", b"HELP", b"help me", b"QUIT")
        _, client = yield self.dialogue(*lines, replies=replies)
        self.assertEqual(
            b"220 hello\r\n250 2.0.0 Ok\r\n450 later\r\n250-one\r\n250 two\r\n250 2.0.0 Ok\r\n"
            b"252 perhaps\r\n252 perhaps\r\n500 5.5.2 What?\r\n299 hm\r\n221 2.0.0 Bye\r\n",
            client.received,
        )
        self.assertEqual([(0, "HELP", b"HELP", 0), (0, "HELP", b"help me", 1)], asked)

    @defer.inlineCallbacks
    def test_refusedData(self):
        """
        A DATA that is refused is not followed by a message.
        """
        server, _ = yield self.dialogue(*MESSAGE[:3], b"RSET", b"QUIT", replies={"DATA": ["451 no"]})
        self.assertEqual(["MAIL", "RCPT", "DATA", "RSET", "QUIT"], server.connections[0].verbs)

    @defer.inlineCallbacks
    def test_close(self):
        """
        L{CLOSE} ends the connection properly, and what comes after is not answered.
        """
        server, client = yield self.dialogue(b"HELO me", b"NOOP", replies={"HELO": [("421 bye", CLOSE)]})
        self.assertEqual(b"421 bye\r\n", client.received.split(b"\r\n", 1)[1])
        yield server.whenIdle()
        self.assertEqual("closed", server.connections[0].end)
        self.assertEqual(b"HELO me\r\nNOOP\r\n", server.connections[0].received)
        self.assertEqual(b"NOOP\r\n", server.connections[0].unfinished)

    @defer.inlineCallbacks
    def test_reset(self):
        """
        L{RESET} ends the connection with an RST.
        """
        server, client = yield self.dialogue(b"HELO me", replies={"HELO": RESET})
        self.assertTrue(client.reason.check(error.ConnectionLost), client.reason)
        self.assertEqual("aborted", server.connections[0].end)

    @defer.inlineCallbacks
    def test_resetByClient(self):
        """
        A client's RST is told from a client's FIN.
        """
        server, client = yield self.dialogue(b"HELO me", until=b"250 ")
        client.transport.abortConnection()
        yield server.whenIdle()
        self.assertEqual("reset", server.connections[0].end)

    @defer.inlineCallbacks
    def test_silence(self):
        """
        After L{SILENCE} nothing is answered any more, but all is recorded.
        """
        server, client = yield self.dialogue(b"HELO me", b"NOOP", b"QUIT", until=b"220 ", replies={"HELO": SILENCE})
        yield server.when(lambda: server.count("QUIT"))
        client.transport.loseConnection()
        yield server.whenIdle()
        self.assertEqual(1, len(client.received.splitlines()))
        self.assertEqual("eof", server.connections[0].end)

    @defer.inlineCallbacks
    def test_rawBytes(self):
        """
        L{Raw} sends exactly these bytes.
        """
        replies = {"HELO": Raw(b"25"), "NOOP": Raw(b"0 split\r\n")}
        _, client = yield self.dialogue(b"HELO me", b"NOOP", until=b"split\r\n", replies=replies)
        self.assertTrue(client.received.endswith(b"\r\n250 split\r\n"))

    @defer.inlineCallbacks
    def test_delay(self):
        """
        L{Delay} holds up a reply and all that follows.
        """
        replies = {"NOOP": [(Delay(0.1), "250 late")], "DATA": (Delay(0.05), None)}
        server, client = yield self.dialogue(b"NOOP", *MESSAGE, b"QUIT", replies=replies)
        noop, mail = server.connections[0].items[:2]
        self.assertGreaterEqual(mail.time - noop.time, 0.09)
        self.assertEqual(1, len(server.messages))
        self.assertTrue(client.received.endswith(b"354 End with a dot\r\n250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n"))

    @defer.inlineCallbacks
    def test_held(self):
        """
        L{Held} holds up a reply and all that follows, on every connection, until the test lets go.
        """
        held = Held()
        replies = {"NOOP": [(held, "250 first"), (held, "250 second")], "DATA": [(held, CLOSE)]}
        server, client = yield self.dialogue(b"NOOP", until=b"ready\r\n", replies=replies)
        gone = yield connectProtocol(TCP4ClientEndpoint(client.transport.reactor, *server.address), Client())
        gone.say(b"DATA")
        yield server.when(lambda: server.count("NOOP") and server.count("DATA"))
        self.assertNotIn(b"first", client.received)
        gone.transport.abortConnection()
        yield server.when(lambda: server.open == 1)
        held.release()
        yield client.until(b"first\r\n")
        client.say(b"NOOP", b"QUIT")
        yield client.lost
        self.assertTrue(client.received.endswith(b"250 second\r\n221 2.0.0 Bye\r\n"))

    @defer.inlineCallbacks
    def test_delayOfLostConnection(self):
        """
        A connection may end during a delay.
        """
        server, client = yield self.dialogue(b"NOOP", until=b"220 ", replies={"NOOP": Delay(3600)})
        yield server.when(lambda: server.count("NOOP"))
        client.transport.loseConnection()
        yield server.whenIdle()
        self.assertEqual("eof", server.connections[0].end)

    @defer.inlineCallbacks
    def test_UNIX(self):
        """
        It listens on UNIX sockets, too, and removes the one it made.
        """
        server, client = yield self.dialogue(b"HELO me", b"QUIT", family="unix")
        self.assertTrue(client.received.endswith(b"221 2.0.0 Bye\r\n"))
        self.assertEqual("unix:" + server.address, server.destination)
        yield server.stop()
        self.assertFalse(os.path.exists(os.path.dirname(server.address)))

    @defer.inlineCallbacks
    def test_openConnections(self):
        """
        It counts the connections that are open, and the most that were.
        """
        from twisted.internet import reactor

        server = RecordingServer().listen()
        self.addCleanup(server.stop)
        clients = []
        for _ in range(3):
            client = yield connectProtocol(TCP4ClientEndpoint(reactor, *server.address), Client())
            self.addCleanup(lambda client=client: client.lost)
            self.addCleanup(client.transport.loseConnection)
            clients.append(client)
        yield server.when(lambda: server.open == 3)
        clients[0].say(b"QUIT")
        yield server.when(lambda: server.open == 2)
        self.assertEqual(3, server.maxOpen)

    @defer.inlineCallbacks
    def test_stop(self):
        """
        C{stop} ends what is open, and may be called twice.
        """
        server, client = yield self.dialogue(b"HELO me", until=b"250 ")
        yield server.stop()
        yield client.lost
        self.assertEqual((0, "aborted"), (server.open, server.connections[0].end))
        yield server.stop()


class SmtpSourceTests(TestCase):
    """
    L{RecordingServer}, seen by Postfix's smtp-source.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        program("smtp-source")

    @defer.inlineCallbacks
    def test_defaults(self):
        """
        All that smtp-source says without options, and how it goes: with an RST.
        """
        flags = ["-M", "me.example", "-S", "Hi"]
        found = yield runOne(runPostfix, flags, Settings())
        self.assertEqual((0, None), (found.process.status, found.process.signal), found.process.err)
        self.assertEqual(
            [
                [
                    b"HELO me.example\r\n",
                    b"MAIL FROM:<foo@me.example>\r\n",
                    b"RCPT TO:<foo@me.example>\r\n",
                    b"DATA\r\n",
                    b"From: <foo@me.example>\r\nTo: <foo@me.example>\r\nDate: DATE\r\n"
                    b"Message-Id: <ID@me.example>\r\nSubject: Hi\r\n\r\nBODY.\r\n",
                    b"QUIT\r\n",
                ]
            ],
            found.transcripts,
        )
        self.assertEqual(["reset"], found.ends)

    @defer.inlineCallbacks
    def test_comparison(self):
        """
        Two runs with the same options don't differ.
        """
        for family in ("inet", "inet6", "unix"):
            settings = Settings(family=family)
            one = yield runOne(runPostfix, ["-m", "2"], settings)
            two = yield runOne(runPostfix, ["-m", "2"], settings)
            self.assertEqual("", differences(one, two))

    @defer.inlineCallbacks
    def test_differences(self):
        """
        Two runs with different options do differ, each option in its own place.
        """
        one = yield runOne(runPostfix, ["-m", "2", "-d", "-r", "2", "-M", "me.example"], Settings())
        for flags, place in [
            ("-m 2 -d -r 2 -M you.example", "HELO you.example"),
            ("-m 2 -r 2 -M me.example", "connection 1"),
            ("-m 3 -d -r 2 -M me.example", "+'MAIL FROM"),
            ("-m 2 -d -r 3 -M me.example", "3foo@me.example"),
            ("-m 2 -d -r 2 -N -M me.example", "4foo@me.example"),
            ("-m 2 -d -r 2 -M me.example -S x", "Subject: x"),
            ("-m 2 -d -r 2 -M me.example -l 100", "1XXXXX"),
            ("-m 2 -d -r 2 -M me.example -o", "-'HELO"),
            ("-m 2 -d -r 2 -M me.example -L", "+'LHLO"),
        ]:
            two = yield runOne(runPostfix, flags.split(), Settings(lmtp="-L" in flags))
            self.assertIn(place, differences(one, two), flags)

    @defer.inlineCallbacks
    def test_fatal(self):
        """
        The end of a run is known as soon as smtp-source says that an error is fatal.
        """
        found = yield runOne(runPostfix, [], Settings(replies={"BANNER": "554 no"}))
        self.assertEqual((1, None), (found.process.status, found.process.signal))
        self.assertIn(b"fatal: ", found.process.err)
        self.assertEqual([b""], [connection.received for connection in found.server.connections])


class RunTests(TestCase):
    """
    L{run}.
    """

    timeout = TEST_LIMIT

    def python(self, script, **settings):
        """
        Run a Python script.
        """
        return run([sys.executable, "-S", "-c", script], **settings)

    @defer.inlineCallbacks
    def test_output(self):
        """
        Both outputs and the status are told.
        """
        found = yield self.python("import sys; print('o'); print('e', file=sys.stderr); sys.exit(3)")
        self.assertEqual((3, None, b"o\n", b"e\n", False), self.essence(found))

    def essence(self, found):
        """
        @return: a L{differential.Finished} without the time.
        """
        return found.status, found.signal, found.out, found.err, found.overdue

    @defer.inlineCallbacks
    def test_overdue(self):
        """
        A program that runs for too long is killed.
        """
        found = yield self.python("import signal; signal.pause()", deadline=0.2)
        self.assertEqual((None, 9, b"", b"", True), self.essence(found))

    @defer.inlineCallbacks
    def test_environment(self):
        """
        The environment and the directory may be given.
        """
        script = "import os; print(os.environ['COLOUR'], os.getcwd())"
        found = yield self.python(script, env={"COLOUR": "blue"}, cwd="/")
        self.assertEqual(b"blue /\n", found.out)

    @defer.inlineCallbacks
    def test_ours(self):
        """
        Our program can be replaced by another one.
        """
        instead = f"{sys.executable} -S -c 'print(1)'"
        self.patch(os, "environ", dict(os.environ, SMTPSOURCE_DIFFERENTIAL=instead))
        found = yield runOurs(["-m", "2"])
        self.assertEqual(b"1\n", found.out)


HEAD = (
    b"From: <a@b>\r\nTo: <c@d>\r\nDate: Sun, 22 Nov 2026 07:41:00 +0000 (UTC)\r\n"
    b"Message-Id: <1a2b.0003.0001@host.example>\r\n"
)
NORMAL_HEAD = b"From: <a@b>\r\nTo: <c@d>\r\nDate: DATE\r\nMessage-Id: <ID@host.example>\r\n"
BODY = b"Sixteen letters 1\r\nSixteen letters 2\r\nSixteen letters 3\r\nSixteen letters 4\r\n"
DOTTED = b"Fifteen chars 1..\r\nFifteen chars 2..\r\nFifteen chars 3..\r\nFifteen chars 4..\r\n"


class NormalizedTests(SynchronousTestCase):
    """
    L{normalizedMessage} and L{compareTranscripts}.
    """

    def check(self, before, after):
        """
        Both are to be equal once normalized.
        """
        self.assertEqual(after, normalizedMessage(before))

    def unchanged(self, message):
        """
        This is to be left as it is.
        """
        self.check(message, message)

    def test_headers(self):
        """
        The date and the left side of the Message-Id go, the rest stays.
        """
        self.check(HEAD + b"\r\ntext\r\n.\r\n", NORMAL_HEAD + b"\r\ntext\r\n.\r\n")
        self.check(HEAD + b"Subject: x\r\n\r\nA\r\n.\r\n", NORMAL_HEAD + b"Subject: x\r\n\r\nA\r\n.\r\n")

    def test_dates(self):
        """
        A date must have exactly the right form.
        """
        for bad in [
            b"Sun, 22 Nov 2026 07:41:00 +0000",
            b"22 Nov 2026 07:41:00 +0000 (UTC)",
            b"Sun, 22 Nov 26 07:41:00 +0000 (UTC)",
            b"Sun, 22 Nov 2026 7:41:00 +0000 (UTC)",
            b"Sun, 22 Nov 2026 07:41:00 UTC (UTC)",
            b"Sun,  22 Nov 2026 07:41:00 +0000 (UTC)",
            b"Sun, 22 nov 2026 07:41:00 +0000 (UTC)",
            b"Sun, 22 Nov 2026 07:41:00 +0000 (UTC) ",
        ]:
            self.assertIn(bad, normalizedMessage(HEAD.replace(b"Sun, 22 Nov 2026 07:41:00 +0000 (UTC)", bad)))
        good = b"Sun,  1 Nov 2026 07:41:00 -0130 (NZDT)"
        self.check(HEAD.replace(b"Sun, 22 Nov 2026 07:41:00 +0000 (UTC)", good), NORMAL_HEAD)

    def test_dateIsNow(self):
        """
        A date must tell the time.
        """
        now = time.monotonic()

        def at(seconds):
            form = "%a, %d %b %Y %H:%M:%S +0000 (UTC)"
            date = time.strftime(form, time.gmtime(time.time() + seconds)).encode()
            message = HEAD.replace(b"Sun, 22 Nov 2026 07:41:00 +0000 (UTC)", date)
            return b"Date: DATE\r\n" in normalizedMessage(message, now, now + 1)

        self.assertEqual([True, False, False, False], [at(0), at(300), at(-300), at(86400)])
        self.assertNotIn(b"DATE", normalizedMessage(HEAD.replace(b"Sun", b"Mon"), now, now))

    def test_messageIds(self):
        """
        A Message-Id must be a dot-atom and a host.
        """
        for bad in [b"@host", b"a b@host", b"a..b@host", b".a@host", b"a.@host", b"<a@host", b"a@b@host"]:
            message = HEAD.replace(b"1a2b.0003.0001@host.example", bad)
            self.assertIn(bad, normalizedMessage(message))

    def test_headerOrder(self):
        """
        Headers in another order, or with another capitalization, are not the same.
        """
        for message in [
            HEAD.replace(b"Message-Id", b"Message-ID"),
            b"".join(reversed(HEAD.splitlines(keepends=True))),
            HEAD.replace(b"\r\nTo: <c@d>", b""),
            b"X: y\r\n" + HEAD,
            HEAD.replace(b"\r\n", b"\n"),
        ]:
            self.unchanged(message + b"\r\ntext\r\n.\r\n")

    def test_defaultBody(self):
        """
        Any text will do that has the form of the default text, with headers and without.
        """
        self.check(HEAD + b"\r\n" + BODY + b".\r\n", NORMAL_HEAD + b"\r\nBODY.\r\n")
        self.check(BODY + b".\r\n", b"BODY.\r\n")
        self.check(DOTTED + b".\r\n", b"BODY.\r\n")

    def test_otherBodies(self):
        """
        Anything else is not the default text.
        """
        for bad in [
            BODY + b"\r\n",
            BODY[19:],
            BODY + b"Sixteen letters 5\r\n",
            BODY.replace(b"letters 3", b"Letters 3"),
            BODY.replace(b"Sixteen", b"Seven"),
            BODY.replace(b"\r\n", b"\n"),
            BODY.replace(b" 2\r\n", b" \r\n"),
            BODY.replace(b" 2\r\n", b" 3\r\n"),
            DOTTED.replace(b"2..", b"2.!"),
        ]:
            self.unchanged(bad + b".\r\n")
            self.check(HEAD + b"\r\n" + bad + b".\r\n", NORMAL_HEAD + b"\r\n" + bad + b".\r\n")

    def test_transcript(self):
        """
        A transcript has everything that was received, in order.
        """
        server = RecordingServer()
        connection = server.buildProtocol(None)
        connection.opened = time.monotonic()
        connection._inMessage = True
        connection._silent = True
        connection.dataReceived(BODY + b".\r\nNOOP\r\nRS")
        self.assertEqual([b"BODY.\r\n", b"NOOP\r\n", b"RS"], normalized(connection))

    def test_compare(self):
        """
        Transcripts are compared connection by connection, or in any order.
        """
        one, two = [b"HELO a\r\n"], [b"HELO b\r\n"]
        self.assertEqual("", compareTranscripts([one, two], [one, two]))
        self.assertIn("+'HELO b", compareTranscripts([one, two], [two, one]))
        self.assertEqual("", compareTranscripts([one, two], [two, one], ordered=False))
        self.assertIn("HELO b", compareTranscripts([one, two], [one, one], ordered=False))
        self.assertIn("connection 1", compareTranscripts([one], [one, one], ordered=False))
        self.assertNotEqual("", compareTranscripts([[b"a\r\n"]], [[b"a\n"]]))

    def test_longLines(self):
        """
        A long line is cut where it is shown, not where it is compared.
        """
        one, two = [b"X" * 5000 + b"a" + b"X" * 5000], [b"X" * 5000 + b"b" + b"X" * 5000]
        shown = compareTranscripts([one], [two])
        self.assertIn("XaX", shown)
        self.assertIn("XbX", shown)
        self.assertLess(len(shown), 2000)
