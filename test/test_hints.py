"""
Tests for L{smtpsource.load.hints}: what a run says of a command line that may not be what was meant.
"""

from __future__ import annotations

import re
import signal
from importlib.util import find_spec
from unittest import skipIf

from commandlines import CommandTestCase
from recording import SILENCE
from sessions import Going, Server
from subprocesses import loadAndReport, python, smtpsink, smtpsource
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import SourcePlan, TLSSettings
from smtpsource.load import hints
from smtpsource.load.run import Run
from smtpsource.phases import MAIL, RCPT
from smtpsource.smtp.parameters import Parameters

NON_ASCII = "jürgen@example.com"
UTF8 = "an address that is not all ASCII was refused: perhaps --smtputf8"
SILENT = "no banner for 5 s: perhaps --tls implicit"


class HintCase(SynchronousTestCase):
    """
    Runs whose hints are kept.
    """

    def setUp(self):
        self.told = []
        genuine = Run.__init__
        self.patch(Run, "__init__", lambda run, *arguments: genuine(run, *arguments, tell=self.told.append))

    def begin(self, decide=None, **plan):
        """
        @return: a run with a server that decides.
        """
        self.server = Server(decide)
        return Going(self.server, **plan)


class BannerTests(HintCase):
    """
    A server that waits for TLS does not speak first.
    """

    def mute(self, connection, event, usual):
        return None

    def test_silence(self):
        """
        After five seconds without a banner there is a hint, once for the run, whatever number of connections it has.
        """
        going = self.begin(self.mute, sessionCount=3, messageCount=10)
        going.reactor.advance(4.5)
        self.assertEqual(self.told, [])
        going.reactor.advance(2.0)
        self.assertEqual(self.told, [SILENT])
        going.reactor.advance(200.0)
        self.assertEqual((self.told, going.run.hints), ([SILENT], [SILENT]))

    def test_again(self):
        """
        So there is where no connection is that old before the server closes it, but one is in the end.
        """
        server = Server(self.mute)
        going = Going(server, messageCount=10, tolerant=True)
        for _ in range(4):
            going.reactor.advance(3.0)
            server.connections[-1].transport.loseConnection()
        self.assertEqual(self.told, [])
        going.reactor.advance(7.0)
        self.assertEqual(self.told, [SILENT])

    def test_shorter(self):
        """
        Where a reply is not waited for so long the hint comes before that is over; but a short time says nothing.
        """
        self.begin(self.mute, timeout=3.0).finish()
        self.assertEqual(self.told, ["no banner for 1.5 s: perhaps --tls implicit"])
        self.begin(self.mute, timeout=0.9).finish()
        self.assertEqual(len(self.told), 1)
        self.begin(self.mute, timeout=5.0).finish()
        self.assertEqual(self.told[1:], ["no banner for 2.5 s: perhaps --tls implicit"])

    def test_longer(self):
        """
        Where a reply is waited for longer than five seconds, if only by a little, it comes after these.
        """
        for timeout in (5.5, 6.0, 8.0, 9.5):
            self.told.clear()
            going = self.begin(self.mute, timeout=timeout)
            going.reactor.advance(4.9)
            self.assertEqual(self.told, [], timeout)
            going.finish()
            self.assertEqual(self.told, [SILENT], timeout)

    def test_none(self):
        """
        There is none where TLS is implicit already, where a server has ever said its banner, and where it is late with
        other replies.
        """

        def later(connection, event, usual):
            return usual if event == b"banner" and len(connection.factory.connections) == 1 else None

        for decide in (later, lambda connection, event, usual: None if event == b"MAIL" else usual):
            going = self.begin(decide, sessionCount=2, messageCount=2)
            going.reactor.advance(100.0)
            self.assertEqual(self.told, [])

    def test_refuted(self):
        """
        A server that greets late has shown that it was not TLS: the hint was told, but is none of the summary's.
        """
        going = self.begin(self.mute)
        going.reactor.advance(6.5)
        self.assertEqual((going.run.standingHints, self.told), ((SILENT,), [SILENT]))
        self.server.connections[0].transport.write(b"220 at last\r\n")
        going.reactor.advance(0.1)
        self.assertEqual((going.run.standingHints, self.told), ((), [SILENT]))

    def test_standstill(self):
        """
        The time in which this process stood still is not held against a server.
        """
        going = self.begin(self.mute)
        going.reactor.advance(2.0)
        going.reactor.standStill(60.0)
        going.reactor.advance(1.0)
        self.assertEqual(self.told, [])
        going.reactor.advance(4.0)
        self.assertEqual(self.told, [SILENT])


class AddressTests(HintCase):
    """
    Addresses that servers take with SMTPUTF8 only.
    """

    def refusing(self, verb, reply):
        return lambda connection, event, usual: reply if event == verb else usual

    def test_refused(self):
        """
        A sender or a recipient that is not all ASCII and is refused, in lock-step and in groups: once for the run.
        """
        for verb, name in ((b"MAIL", "sender"), (b"RCPT", "recipient")):
            for reply in (b"501 5.1.3 bad", b"553 no", b"550 5.6.7 no", b"550 needs smtputf8"):
                for pipelining in ("off", "force"):
                    self.told.clear()
                    plan = {name: NON_ASCII, "pipelining": pipelining, "tolerant": True, "messageCount": 3}
                    going = self.begin(self.refusing(verb, reply), **plan)
                    going.finish()
                    self.assertEqual(going.counts(), (3, 0, 3, 0))
                    self.assertEqual(self.told, [UTF8], (verb, reply, pipelining))

    def test_others(self):
        """
        Nothing is said of other refusals, and of other addresses.
        """
        for reply, plan in (
            (b"550 5.1.1 no such user", {"recipient": NON_ASCII}),
            (b"450 4.6.7 later", {"recipient": NON_ASCII}),
            (b"553 no", {"recipient": "jurgen@example.com"}),
            (b"553 no", {"sender": NON_ASCII}),
        ):
            self.begin(self.refusing(b"RCPT", reply), **plan).finish()
            self.assertEqual(self.told, [], (reply, plan))

    def test_asked(self):
        """
        A refusal is looked at only where a plan has such an address, and no longer when that was said.
        """
        looks = []
        genuine = hints.mayNeedUTF8
        self.patch(hints, "mayNeedUTF8", lambda reply: looks.append(reply) or genuine(reply))
        for recipient, times in (("a@x", 0), (NON_ASCII, 1)):
            looks.clear()
            plan = {"recipient": recipient, "tolerant": True, "messageCount": 100}
            self.begin(self.refusing(b"RCPT", b"553 no"), **plan).finish()
            self.assertEqual(len(looks), times, recipient)

    def test_plans(self):
        """
        It is known of a plan which addresses may be others than those of ASCII; with SMTPUTF8 none needs it.
        """
        for values, phases in (
            ({}, set()),
            ({"sender": NON_ASCII}, {MAIL}),
            ({"senders": ["a@x", NON_ASCII], "recipient": NON_ASCII}, {MAIL, RCPT}),
            ({"recipients": [(NON_ASCII, 1), ("a@x", 2)]}, {RCPT}),
            ({"sender": NON_ASCII, "parameters": Parameters(smtpUTF8=True)}, set()),
        ):
            self.assertEqual(hints.phasesWithoutASCII(SourcePlan(destination="x", **values)), phases, values)


class ServerTests(HintCase):
    """
    Servers that are not what was thought.
    """

    def refusing(self, **replies):
        """
        @return: what decides on replies, by verb.
        """
        known = {verb.encode(): reply for verb, reply in replies.items()}
        return lambda connection, event, usual: known.get(event, usual)

    def check(self, expected, plan, **replies):
        """
        A run with several refusals is told of so much.
        """
        self.told.clear()
        going = self.begin(self.refusing(**replies), messageCount=6, tolerant=True, **plan)
        going.finish()
        self.assertEqual(self.told, expected, (plan, replies))

    def test_noLMTP(self):
        """
        LHLO is no command of SMTP; a server that refuses it otherwise is none that does not know it.
        """
        for reply in (b"500 5.5.2 what?", b"502 5.5.2 Error: command not recognized"):
            self.check([hints.NOT_LMTP], {"lmtp": True}, LHLO=reply)
        self.check([], {"lmtp": True}, LHLO=b"550 you are not welcome")

    def test_lmtp(self):
        """
        HELO and EHLO are none of LMTP, if it is the banner or the reply that says what is spoken.
        """
        for esmtp in (True, False):
            words = {"EHLO": b"500 5.5.1 Unrecognized command", "HELO": b"500 5.5.1 Unrecognized command"}
            self.check([hints.LMTP], {"esmtp": esmtp}, banner=b"220 mail.example Cyrus LMTP 3.6 ready", **words)
            self.check([], {"esmtp": esmtp}, banner=b"220 noLMTP.example ready", **words)
            asked = dict.fromkeys(words, b"502 5.5.1 Expected LHLO")
            self.check([hints.LMTP], {"esmtp": esmtp}, **asked)

    def test_tooMany(self):
        """
        A server that takes no more connections; but one session cannot be fewer.
        """
        for reply in (
            b"421 4.7.0 mx.example Error: too many connections from 192.0.2.1",
            b"421 Too many concurrent SMTP connections; please try again later.",
            b"421 4.3.2 The maximum number of concurrent connections has exceeded a limit",
        ):
            self.check([hints.TOO_MANY], {"sessionCount": 3}, banner=reply)
            self.check([], {"sessionCount": 1}, banner=reply)
        self.check([], {"sessionCount": 3}, banner=b"421 4.3.2 the system is going down")


class TLSTests(TestCase):
    """
    TLS where there is none.
    """

    def test_schemes(self):
        """
        What to try depends on how TLS was asked for; where it is not the server that has none, nothing is.
        """
        words = "the server does not speak TLS here (wrong version number)"
        for plan, text, expected in (
            ({"tls": "implicit"}, words, "perhaps --tls starttls, or none"),
            ({"destination": "smtps://x", "tolerant": True}, words, "perhaps smtp://, with --tls starttls or without"),
            ({"destination": "smtps://x"}, words, None),
            ({"tls": "starttls"}, words, None),
            ({"tls": "implicit"}, "the server has no cipher in common", None),
        ):
            found = hints.ofTLS(SourcePlan(**{"destination": "x", **plan}), text)
            self.assertEqual(found, expected and f"the server does not speak TLS here: {expected}")

    @skipIf(find_spec("OpenSSL") is None, "there is no pyOpenSSL")
    def test_certificate(self):
        """
        Where the issuer of a certificate is not known, it may have to be named, unless one was; other certificates are
        no better with that.
        """
        for options, problem, told in (
            ({}, "unknown issuer: CN=x", True),
            ({}, "self-signed: CN=x", True),
            ({"ca": __file__}, "self-signed: CN=x", False),
            ({}, "expired: not valid after 2026-01-01 00:00:00 UTC", False),
        ):
            settings = TLSSettings(verify=True, **options)
            plan = SourcePlan(destination="x", tls="starttls", tlsSettings=settings)
            self.assertEqual((hints.ofTLS(plan, problem) or "").endswith("perhaps --tls-ca FILE"), told, problem)

    @skipIf(find_spec("OpenSSL") is None, "there is no pyOpenSSL")
    @defer.inlineCallbacks
    def test_sink(self):
        """
        So it is with the certificate that a sink makes for itself.
        """
        sink = smtpsink(self, "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:(.*)\n")
        result, report = yield loadAndReport(self, "--tls", "starttls", "--tls-verify", match[1].decode())
        self.assertEqual(report["hints"][0].rpartition(": ")[2], "perhaps --tls-ca FILE", result)


class CommandTests(CommandTestCase):
    """
    The command says it when it knows, and at the end.
    """

    @defer.inlineCallbacks
    def test_silence(self):
        """
        A line on standard error while the run goes on, one of the summary, and a field of the report.
        """
        server = self.serve(replies={"BANNER": SILENCE})
        hint = b"no banner for 1 s: perhaps --tls implicit"
        command = smtpsource(self, "--timeout", "2", "--report", "x.json", server.destination)
        yield command.whenPrinted(b"^smtpsource: %s$" % hint, "err")
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.err.count(hint)), (1, 1))
        self.assertIn(b"\nhint         %s\n" % hint, result.out)
        self.assertIn(hint, (command.directory / "x.json").read_bytes())

    @defer.inlineCallbacks
    def test_terminal(self):
        """
        While the run goes on it is in the picture on a terminal, or a line where there is no picture; and it is in the
        summary.
        """
        hint = b"no banner for 1 s: perhaps --tls implicit"
        drawn, said = rb"hint +(?:\x1b\[0m)?\x1b\[33m%s" % hint, b"^smtpsource: %s\r\n" % hint
        for live, term, seen, other in (
            ("auto", "xterm", drawn, said),
            ("off", "xterm", said, drawn),
            ("auto", "dumb", said, drawn),
            ("on", "dumb", said, drawn),
        ):
            server = self.serve(replies={"BANNER": SILENCE})
            arguments = ("-A", "--timeout", "2", "-m", "1000", "--live", live, server.destination)
            command = smtpsource(self, *arguments, terminal=True, env={"TERM": term, "NO_COLOR": None})
            yield command.whenPrinted(seen)
            command.signal(signal.SIGINT)
            result = yield command.whenEnded()
            self.assertIsNone(re.search(other, result.out, re.MULTILINE), (live, term, result.out))
            summed = re.findall(rb"(?m)^(?:\x1b\[33m)?hint         %s" % hint, result.out)
            self.assertEqual(len(summed), 1, result.out)

    @skipIf(find_spec("OpenSSL") is None, "there is no pyOpenSSL")
    @defer.inlineCallbacks
    def test_noTLS(self):
        """
        A server that speaks plain SMTP.
        """
        result, report = yield loadAndReport(self, "--tls", "implicit", self.serve().destination)
        self.assertEqual(report["hints"], ["the server does not speak TLS here: perhaps --tls starttls, or none"])
        self.assertIn(b"perhaps --tls starttls, or none\n", result.err)

    @defer.inlineCallbacks
    def test_UTF8(self):
        """
        A server that refuses an address.
        """
        server = self.serve(replies={"RCPT": "553 5.6.7 SMTPUTF8 is required"})
        result, report = yield loadAndReport(self, "-A", "-m", "3", "-t", NON_ASCII, server.destination)
        self.assertEqual((result.err, report["hints"]), (f"smtpsource: {UTF8}\n".encode(), [UTF8]))

    @defer.inlineCallbacks
    def test_extra(self):
        """
        Where there is no pyOpenSSL, the command that brings it is named.
        """
        program = "import sys; sys.modules['OpenSSL'] = None\nfrom smtpsource.__main__ import main\nmain()"
        result = yield python(self, "-c", program, "--tls", "starttls", "127.0.0.1").whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertOneLine(result.err, b"pip install 'smtpsource[tls]'")
