"""
Tests for C{smtpsink ctl}, and for C{smtpsink --control} as users meet it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import socket
import stat
from email.header import Header
from email.message import EmailMessage
from types import SimpleNamespace

from controlled import ControlMixin
from patience import PATIENCE, TEST_LIMIT
from subprocesses import smtpsink, smtpsource
from twisted.internet import defer
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

TOKEN = "0123456789abcdef"

FILE = """
seed = 7
[[rule]]
name = "slow"
on = "rcpt"
when = { recipient = "*@slow.test" }
do = { reply = "451 4.7.1 come back" }
"""


class ControlledTestCase(ControlMixin, TestCase):
    """
    A sink in a process of its own, that is controlled.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def start(self, *options, control="0", env=None):
        """
        Start it.
        """
        self.sink = smtpsink(self, "--control", control, *options, "127.0.0.1:0", env=env)
        match = yield self.sink.whenPrinted(rb"^listening on inet:127\.0\.0\.1:(\d+)\n")
        self.port = int(match[1])
        match = yield self.sink.whenPrinted(rb"^listening on control:(\S+)\n")
        self.where = match[1].decode()
        self.server = SimpleNamespace(address=self.where)

    @defer.inlineCallbacks
    def ctl(self, *arguments, status=0, env=None):
        """
        @return: a L{defer.Deferred} that fires with what a command has said to standard output, or to standard error if
            it has failed.
        """
        environment = {"SMTPSINK_CONTROL": self.where, "SMTPSINK_CONTROL_TOKEN": None} | (env or {})
        result = yield smtpsink(self, "ctl", *arguments, env=environment).whenEnded()
        self.assertEqual(result.status, status, result)
        if status == 0:
            self.assertEqual(result.err, b"", arguments)
            return result.out.decode()
        self.assertRegex(result.err.decode(), r"\A[^\n]+\n\Z")
        return result.err.decode()

    def send(self, *recipients):
        """
        Send a message to each recipient.

        @return: a L{defer.Deferred} that fires with the codes of those that were refused.
        """
        return deferToThread(self._send, recipients)

    def _send(self, recipients):
        codes = []
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            for recipient in recipients:
                message = EmailMessage()
                message["Subject"] = f"for {recipient}"
                message.set_content("text\n")
                try:
                    client.send_message(message, "a@example.com", [recipient])
                except smtplib.SMTPRecipientsRefused as e:
                    codes.append(e.recipients[recipient][0])
        return codes


class CommandTests(ControlledTestCase):
    """
    What can be done.
    """

    @defer.inlineCallbacks
    def test_rules(self):
        """
        Rules are set from a file or standard input, added, looked at, removed and cleared, while mail comes.
        """
        yield self.start()
        path = self.sink.directory / "rules.toml"
        path.write_text(FILE)
        yield self.ctl("rules", "set", path)
        refused = yield self.send("b@slow.test", "b@example.com")
        self.assertEqual(refused, [451])
        rule = 'on = "rcpt", when = { recipient = "*@full.test" }, do = { reply = "452 4.2.2 full" }'
        name = yield self.ctl("rules", "add", rule)
        self.assertEqual(name, "added rule 1\n")
        name = yield self.ctl("rules", "add", "--first", rule)
        self.assertEqual(name, "added rule 2\n")
        document = yield self.ctl("rules", "get")
        self.assertEqual([each["name"] for each in json.loads(document)["rule"]][::2], ["added rule 2", "added rule 1"])
        yield self.ctl("rules", "remove", "added rule 2")
        yield self.ctl("rules", "remove", "slow")
        refused = yield self.send("b@slow.test", "b@full.test")
        self.assertEqual(refused, [452])
        document = yield self.ctl("rules", "get")
        path = self.sink.directory / "rules.json"
        path.write_text(document)
        yield self.ctl("rules", "clear")
        refused = yield self.send("b@full.test")
        self.assertEqual(refused, [])
        yield self.ctl("rules", "set", path)
        again = yield self.ctl("rules", "get")
        self.assertEqual(again, document)
        counters = yield self.ctl("counters")
        self.assertEqual(json.loads(counters)["rules"], {"slow": 1, "added rule 1": 1})

    @defer.inlineCallbacks
    def test_swapped(self):
        """
        Rules are swapped a hundred times while messages come as fast as they can: each command has its reply, and all
        but those before the first rules are decided by some.
        """
        yield self.start()
        load = smtpsource(self, "-A", "-d", "-s", "20", "--duration", "1h", "--report", "-", f"127.0.0.1:{self.port}")
        ended = load.whenEnded()
        swaps = number = begun = 0
        while swaps < 100 or number < begun + 2000:
            text = "250 2.1.5 as told" if swaps % 2 else "451 4.7.1 as told"
            rule = {"name": f"number {swaps}", "on": "rcpt", "do": {"reply": text}}
            reply = yield self.ask("PUT", "/rules", {"rule": [rule]})
            self.assertEqual(reply.status, 200)
            self.assertFalse(ended.called)
            reply = yield self.ask("GET", "/counters")
            number = sum(reply.json["rules"].values())
            if not number:
                continue  # the load has not begun
            begun = begun or number
            swaps += 1
        load.signal(signal.SIGINT)
        result = yield ended
        report = json.loads(result.out)
        messages = report["messages"]
        self.assertGreater(messages["accepted"], 0)
        self.assertGreater(messages["rejected"], 0)
        self.assertEqual(messages["failed"], 0, report["errors"])
        counters = yield self.ctl("counters")
        counted = json.loads(counters)["rules"]
        self.assertGreaterEqual(len([name for name, number in counted.items() if number]), 2)
        self.assertLessEqual(sum(counted.values()), messages["started"])

    @defer.inlineCallbacks
    def test_messages(self):
        """
        Messages are waited for, shown, and forgotten; so are dialogues.
        """
        yield self.start()
        waiting = self.ctl("messages", "--recipient", "*@b.test", "--wait", "1h", "--count", "2")
        yield self.send("1@b.test", "2@c.test", "3@b.test")
        found = yield waiting
        messages = [json.loads(line) for line in found.splitlines()]
        self.assertEqual([message["to"] for message in messages], [["1@b.test"], ["3@b.test"]])
        for options, expected in (
            (["--after", "1", "--subject", "*@b*"], [3]),
            (["--sender", "x"], []),
            ([], [1, 2, 3]),
        ):
            found = yield self.ctl("messages", *options)
            self.assertEqual([json.loads(line)["number"] for line in found.splitlines()], expected)
        message = yield self.ctl("message", "2")
        self.assertEqual(json.loads(message)["subject"], "for 2@c.test")
        raw = yield self.ctl("message", "--raw", "2")
        self.assertTrue(raw.startswith("Subject: for 2@c.test\r\n"), raw)
        text = yield self.ctl("transcript", "1")
        self.assertIn(" C: ", text)
        cleared = yield self.ctl("transcripts", "clear")
        self.assertGreaterEqual(json.loads(cleared)["deleted"], 1)
        listed = yield self.ctl("transcripts")
        self.assertEqual(json.loads(listed), {"transcripts": []})
        yield self.ctl("delete", "2")
        left = yield self.ctl("delete")
        self.assertEqual(json.loads(left), {"deleted": 2})
        problem = yield self.ctl("messages", "--count", "1", "--wait", "1ms", status=1)
        self.assertEqual(problem, "smtpsink ctl: 0 messages: expected 1\n")

    @defer.inlineCallbacks
    def test_changedRoot(self):
        """
        A sink that sees nothing but one directory any more, and is nobody, can be asked and told everything all the
        same. (Without root's rights it stays who and where it is.)
        """
        os.makedirs(root := os.path.abspath(self.mktemp()))
        changed = ("-u", "nobody", "-R", root) if os.geteuid() == 0 else ()
        rules = '[[rule]]\non = "{}"\ndo = {{ delay = {{ lognormal = {{ median = "1ms", sigma = 1, max = "1s" }} }} }}'
        for control in ("0", f"unix:{self.socketPath()}"):
            yield self.start(*changed, control=control)
            for step, status in (("message", 200), ("massage", 422)):
                reply = yield self.ask("PUT", "/rules", rules.format(step).encode(), kind="application/toml")
                self.assertEqual(reply.status, status, reply.body)
            self.assertIn("did you mean message?", reply.detail)
            yield self.send("b@example.com")
            subject = Header("\u00dcber uns", "iso-8859-15").encode()
            yield deferToThread(self.sendRaw, f"Subject: {subject}\r\nMessage-Id: <1@x>\r\n\r\ntext\r\n".encode())
            reply = yield self.ask("GET", "/messages?subject=%C3%9Cber*&id=1@x&wait=10")
            self.assertEqual(reply.json["found"], 1)
            number = reply.json["messages"][0]["number"]
            for path in (f"messages/{number}", f"messages/{number}/raw", "transcripts/1", "metrics", "openapi.json"):
                reply = yield self.ask("GET", f"/{path}")
                self.assertEqual(reply.status, 200, path)
            reply = yield self.ask("GET", "/messages?recipent=b")
            self.assertIn("did you mean recipient?", reply.detail)
            self.sink.signal(signal.SIGTERM)
            result = yield self.sink.whenEnded()
            self.assertEqual((result.status, result.err), (0, b""))

    def socketPath(self):
        """
        @return: where a socket may be: the path of one is no longer than 107 bytes.
        """
        path = os.path.relpath(self.mktemp())
        absolute = os.path.abspath(path)
        return absolute if len(absolute) < 100 else f"/proc/{os.getpid()}/cwd/{path}"

    def sendRaw(self, content):
        """
        Send a message as it is.
        """
        with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
            client.sendmail("a@example.com", ["b@example.com"], content)

    @defer.inlineCallbacks
    def test_pause(self):
        """
        A sink that pauses says nothing; when it goes on, whoever came meanwhile is served.
        """
        yield self.start()
        state = yield self.ctl("pause")
        self.assertEqual(json.loads(state), {"paused": True})
        sending = self.send("b@example.com")
        counters = yield self.ctl("counters")
        self.assertEqual(json.loads(counters)["messages"], 0)
        self.assertNoResult(sending)
        yield self.ctl("resume")
        yield sending

    @defer.inlineCallbacks
    def test_drop(self):
        """
        Who is connected can be dropped; who comes after that is served.
        """
        yield self.start()
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            yield deferToThread(client.recv, 1000)
            dropped = yield self.ctl("drop")
            self.assertEqual(json.loads(dropped), {"dropped": 1})
            with contextlib.suppress(ConnectionResetError):
                rest = yield deferToThread(client.recv, 1000)
                self.assertEqual(rest, b"")
        refused = yield self.send("b@example.com")
        self.assertEqual(refused, [])

    @defer.inlineCallbacks
    def test_events(self):
        """
        What happens is told as it happens, and that is over with the sink; marks are in its report.
        """
        yield self.start("--report", "report.json")
        watching = smtpsink(self, "ctl", "events", env={"SMTPSINK_CONTROL": self.where})
        # It is there when it is told of the first of these.
        told = watching.whenPrinted(rb'"text": "begin"')
        marks = 0
        while not told.called:
            yield self.ctl("mark", "begin")
            marks += 1
        yield self.send("b@example.com")
        yield watching.whenPrinted(rb'"event": "disconnect"')
        self.sink.signal(signal.SIGTERM)
        result = yield watching.whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        kinds = [json.loads(line)["event"] for line in result.out.splitlines()]
        self.assertEqual([kind for kind in kinds if kind != "mark"], ["connect", "message", "disconnect"])
        yield self.sink.whenEnded()
        report = json.loads((self.sink.directory / "report.json").read_text())
        self.assertEqual([mark["text"] for mark in report["marks"]], ["begin"] * marks)

    @defer.inlineCallbacks
    def test_interrupted(self):
        """
        Whoever has seen enough interrupts it, and there is no more to say.
        """
        yield self.start()
        watching = smtpsink(self, "ctl", "events", env={"SMTPSINK_CONTROL": self.where})
        told = watching.whenPrinted(rb"mark")
        while not told.called:
            yield self.ctl("mark", "x")
        watching.signal(signal.SIGINT)
        result = yield watching.whenEnded()
        self.assertEqual((result.signal, result.err), (signal.SIGINT, b""))

    @defer.inlineCallbacks
    def test_unix(self):
        """
        A UNIX socket is for whoever runs the sink, and gone with it.
        """
        path = self.socketPath()
        yield self.start(control=f"unix:{path}")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        state = yield self.ctl("pause")
        self.assertIn("true", state)
        self.sink.signal(signal.SIGTERM)
        yield self.sink.whenEnded()
        self.assertFalse(os.path.lexists(path))

    @defer.inlineCallbacks
    def test_token(self):
        """
        A sink that is controlled from elsewhere wants its token, from a file or the environment.
        """
        yield self.start(control="0.0.0.0:0", env={"SMTPSINK_CONTROL_TOKEN": TOKEN})
        self.where = self.where.replace("0.0.0.0", "127.0.0.1")
        problem = yield self.ctl("counters", status=1)
        self.assertIn("a token is needed here", problem)
        yield self.ctl("counters", env={"SMTPSINK_CONTROL_TOKEN": TOKEN})
        path = self.sink.directory / "token"
        path.write_text(TOKEN + "\n")
        yield self.ctl("--token-file", path, "counters")


class WrongTests(ControlledTestCase):
    """
    What can't be done is told in one line.
    """

    where = "127.0.0.1:1"

    @defer.inlineCallbacks
    def test_commandLine(self):
        """
        A command line that can't be used.
        """
        see = r" \(see smtpsink ctl --help\)\n\Z"
        for words, problem in (
            ([], "no command: expected one of rules, messages, "),
            (["message"], "0 words after 'message': expected message N"),
            (["mesages"], "'mesages' is no command: expected one of rules, .*; did you mean message"),
            (["rules"], "'rules': expected one of rules get, rules set, rules add, rules remove, rules clear"),
            (["rules", "put"], "'rules put': expected one of rules get, "),
            (["pause", "now"], "1 words after 'pause': expected pause and nothing after it"),
            (["pause", "--wait", "1s"], "--wait is not for 'pause'"),
            (["message", "x"], "message: 'x' is not usable: expected a whole number from 1"),
            (["mark", ""], "mark: a text of 0 characters is not usable: expected 1 to 1000"),
            (["rules", "add", 'on = "rcp"'], "rules add: on: 'rcp' is not usable: expected .*; did you mean rcpt"),
            (
                ["rules", "set", "/nonexistent"],
                "rules set: '/nonexistent' is not usable: expected a readable file: No such",
            ),
            (["--control", "x", "pause"], r"--control: 'x' is not usable: expected \[HOST:\]PORT or unix:PATH"),
            (["--control", "0", "pause"], "--control: '0' is not usable: expected the port that the sink has told"),
            (["--token-file", "/nonexistent", "pause"], "--token-file: .* is not usable: expected a readable file"),
        ):
            said = yield self.ctl(*words, status=2)
            self.assertRegex(said, rf"\Asmtpsink ctl: {problem}.*{see}")
        said = yield self.ctl("pause", status=2, env={"SMTPSINK_CONTROL": None})
        self.assertIn("no sink: expected --control WHERE, or SMTPSINK_CONTROL in the environment", said)
        said = yield self.ctl("pause", status=2, env={"SMTPSINK_CONTROL": "x"})
        self.assertIn("SMTPSINK_CONTROL in the environment: 'x' is not usable", said)

    @defer.inlineCallbacks
    def test_nobody(self):
        """
        There is no sink, or something else answers.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.where = "127.0.0.1:%d" % taken.getsockname()[1]
            said = yield self.ctl("pause", status=1)
        self.assertEqual(said, f"smtpsink ctl: can't ask the sink at {self.where}: Connection refused\n")
        sink = smtpsink(self, "127.0.0.1:0")
        match = yield sink.whenPrinted(rb"^listening on inet:(\S+)\n")
        self.where = match[1].decode()
        said = yield self.ctl("pause", status=1)
        self.assertIn(f"smtpsink ctl: can't ask the sink at {self.where}: ", said)

    @defer.inlineCallbacks
    def test_stranger(self):
        """
        What answers is some other server.
        """
        from twisted.internet import reactor
        from twisted.web.server import Site
        from twisted.web.static import Data

        for text, expected in ((b"[]", "an object"), (b"null", "an object"), (b"{}", "'messages'"), (b"x", "JSON")):
            resource = Data(text, "application/json")
            resource.isLeaf = True
            port = reactor.listenTCP(0, Site(resource), interface="127.0.0.1")
            self.where = "127.0.0.1:%d" % port.getHost().port
            said = yield self.ctl("messages", "--subject", "\udcff", status=1)
            self.assertEqual(said, f"smtpsink ctl: what answers at {self.where} is no smtpsink: expected {expected}\n")
            yield port.stopListening()

    @defer.inlineCallbacks
    def test_sink(self):
        """
        A sink does not begin where it can't be controlled as it should.
        """
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for options, status, problem in (
                (["--control", "x"], 2, r"--control: 'x' is not usable: expected \[HOST:\]PORT or unix:PATH"),
                (
                    ["--control", "0.0.0.0:0"],
                    2,
                    "--control: 0.0.0.0:0 can be reached from elsewhere, and there is no token",
                ),
                (["--control-token-file", "/dev/null"], 2, "--control-token-file needs --control"),
                (
                    ["--control", "0", "--control-token-file", "/dev/null"],
                    2,
                    "--control-token-file: '/dev/null' is not usa",
                ),
                (["--control", str(port)], 1, f"can't be controlled at 127.0.0.1:{port}: Address already in use"),
            ):
                environment = {"SMTPSINK_CONTROL_TOKEN": None}
                result = yield smtpsink(self, *options, "127.0.0.1:0", env=environment).whenEnded()
                self.assertEqual(result.status, status, result)
                self.assertRegex(result.err.decode(), rf"\Asmtpsink: {problem}[^\n]*\n\Z")
                self.assertEqual(result.out, b"")
