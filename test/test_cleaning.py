"""
Whatever others say, a terminal shows it and obeys none of it: servers, clients of the sink, reports of somebody else,
and files, in everything that is written for people.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

from commandlines import ToolTestCase
from hypothesis import strategies as st
from properties import given
from recording import ServingMixin, multiline
from results import REPORTS, Run, places
from rich.console import Console
from subprocesses import smtpsink, smtpsource, twistd
from twisted.internet import defer
from twisted.internet.protocol import Factory
from twisted.logger import LogPublisher, textFileLogObserver
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.load.service import SourceService
from smtpsource.phases import MAIL
from smtpsource.plan import SourcePlan
from smtpsource.printable import LONGEST, escaped, legible, printable
from smtpsource.report import csvfile, hlog, junit
from smtpsource.report.document import documentOf
from smtpsource.report.files import jsonPieces
from smtpsource.report.live.figures import Course
from smtpsource.report.live.picture import line, picture
from smtpsource.report.page import Page
from smtpsource.report.presentation import Presentation
from smtpsource.report.prometheus import RunCollector
from smtpsource.report.reading import summaryOf
from smtpsource.report.text import render
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.options import SinkOptions
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.service import SinkService
from smtpsource.testing import FakeReactor, FakeTransport
from smtpsource.values.option import Flag

#: What a terminal would obey, or what would make a line look like another one: a character of each kind, between
#: letters.
CHARACTERS = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\xad\u034f\u115f\u180e\u200b\u200c\u200d\u2060\u2064\u3164\ufe0f\ufeff\uffa0\ufff9\U000e0041\U000e0100",
    *"\u2028\u2029\u0085\ufffe\U0010ffff\ue000",
]
SURROGATES = ["\ud800", "\udc9b", "\udfff"]

#: Sequences that do something: colors, a title, a link, the clipboard, another screen, printing; and rich's own.
SEQUENCES = [
    "\x1b[31mred",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.test\x1b\\link",
    "\x1b]52;c;AAAA\x07",
    "\x1bP+q\x1b\\",
    "\x9b5i",
    "\x90q\x9c",
    "[red]rich[/red]",
    "[link=http://evil.test]rich[/link]",
    ":warning:",
]
HOSTILE = "x".join([*CHARACTERS, *SEQUENCES])

#: The same where a line end would be one: in what a server or a client says in one line.
ONE_LINE = HOSTILE.replace("\n", "").replace("\r", "")
BYTES = ONE_LINE.encode() + b"x\x9b31m\x85\xff\xc2"

READABLE = "Gr\u00fc\u00dfe \u4f60\u597d \u0416 e\u0301 [red]"


def isClean(text):
    """
    Is there nothing in this line that a terminal obeys, and nothing that can't be seen?
    """
    return text.isprintable() and not set(text) & set(CHARACTERS)


class Case(SynchronousTestCase):
    """
    Tests with what is shown.
    """

    def assertClean(self, text):
        """
        There are lines, and nothing else that a terminal would obey.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        for one in text.split("\n"):
            self.assertTrue(isClean(one), ascii(one))


class PrintableTests(Case):
    """
    L{smtpsource.printable}.
    """

    def test_characters(self):
        """
        Each of them is replaced, alone and among others.
        """
        for character in CHARACTERS + SURROGATES:
            for text in (f"a{character}b", character, f"{character}{character}b"):
                self.assertClean(printable(text))
                self.assertNotIn("\n", printable(text))
            self.assertIn(printable(f"a{character}b"), ("a?b", "a b", "a | b"))
        self.assertClean(printable(HOSTILE))
        self.assertClean(printable(BYTES))

    def test_readable(self):
        """
        What can be read stays what it is, brackets included.
        """
        self.assertEqual(printable(READABLE), READABLE)
        self.assertEqual(printable(READABLE.encode()), READABLE)
        self.assertEqual(printable("a\tb\r\nc\n"), "a b | c")

    @given(st.text())
    def test_any(self, text):
        """
        Whatever it is: it is one line, and the same if it is cleaned again.
        """
        shown = printable(text)
        self.assertTrue(isClean(shown))
        self.assertEqual(printable(shown), shown)
        self.assertEqual(legible(text).count("\n"), text.count("\n"))

    def test_long(self):
        """
        Of what is very long the beginning and the end are shown.
        """
        shown = printable("a" * 10**6 + "b")
        self.assertEqual(len(shown), LONGEST)
        self.assertRegex(shown, r"\Aa+ \.\.\. a+b\Z")

    @given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
    def test_escaped(self, value):
        """
        JSON that can be looked at says what it said.
        """
        for ascii_ in (True, False):
            for indent in (None, 2):
                text = escaped(json.dumps(value, ensure_ascii=ascii_, indent=indent))
                self.assertClean(text)
                self.assertEqual(json.loads(text), value)
        self.assertEqual(escaped('"\u00fc"'), '"\u00fc"')


class Server(Factory):
    """
    A server that adds something to whatever it says, and refuses one thing after the other.
    """

    noisy = False

    def __init__(self, more):
        self.more = more
        self.numbers = count()

    def buildProtocol(self, address):
        from twisted.protocols.basic import LineReceiver

        factory = self

        class Protocol(LineReceiver):
            def say(self, text):
                self.transport.write(text + b" " + factory.more + b"\r\n")

            def connectionMade(self):
                number = next(factory.numbers)
                self.refused = (b"banner", b"EHLO", b"MAIL", b"RCPT", b"DATA", b".", b"QUIT", b"garbage")[number % 8]
                self.content = False
                self.say(b"554" if self.refused == b"banner" else b"hello" if self.refused == b"garbage" else b"220")

            def lineReceived(self, line):
                verb = line[:4].upper()
                if self.content and line != b".":
                    return
                self.content = False
                if verb[:1] == b".":
                    verb = b"."
                if verb == self.refused:
                    self.say(b"450-no\r\n450")
                elif verb == b"EHLO":
                    self.say(b"250-here\r\n250-SIZE " + factory.more + b"\r\n250-X-" + factory.more + b"\r\n250 AUTH")
                elif verb == b"DATA":
                    self.content = True
                    self.say(b"354")
                else:
                    self.say(b"250")

        protocol = Protocol()
        protocol.factory = self
        return protocol


class ServerTests(Case):
    """
    A server, in everything that a run shows.
    """

    def run_(self):
        """
        @return: the summary of a run, and what was shown of its dialogue.
        """
        reactor = FakeReactor()
        reactor.server = Server(BYTES)
        shown = []
        plan = SourcePlan(
            destination="127.0.0.1", messageCount=40, tolerant=True, esmtp=True, trace=1, thresholds=("errors == 0",)
        )
        service = SourceService(reactor, plan, clock=reactor.seconds, show=shown.append, keepIntervals=True)
        done = []
        service.whenDone().addCallback(done.append)
        self.service = service
        service.startService()
        while not done:
            reactor.advance(max(0.0, min(call.getTime() for call in reactor.getDelayedCalls()) - reactor.seconds()))
        return done[0], shown

    def test_everything(self):
        """
        Text, trace, JSON, JUnit, CSV, histograms, metrics: none has anything of it, and what can be read is there.
        """
        summary, trace = self.run_()
        self.assertGreater(summary.messages.accepted, 3)
        self.assertGreater(summary.messages.rejected, 10)
        self.assertIn("garbage-reply", summary.errors)
        self.assertIn("SIZE", summary.capabilities)
        text = render(summary)
        self.assertEqual(len([one for one in text.split("\n") if one.startswith("announced ")]), 1)
        for what in (
            text,
            "\n".join(trace),
            "".join(junit.lines(summary)),
            "".join(csvfile.lines(summary)),
            "".join(hlog.lines(summary)),
            "".join(jsonPieces(documentOf(summary), ascii=False)),
            "".join(jsonPieces(documentOf(summary), ascii=True)),
        ):
            self.assertClean(what)
        self.assertIn("[link=http://evil.test]rich[/link]", "".join(text.split()))  # over the ends of lines
        self.assertEqual(json.loads("".join(jsonPieces(documentOf(summary), ascii=False))), documentOf(summary))
        ET.fromstring("".join(junit.lines(summary)))
        for families in RunCollector(self.service).collect():
            for sample in families.samples:
                self.assertClean("".join(sample.labels.values()))

    def test_picture(self):
        """
        The live view, as rich writes it: it has no link and no color that is not ours.
        """
        run = Run()
        for number in range(3):
            run.recorder.reply(MAIL, 0.1, b"45%d" % number, b"45%d " % number + BYTES)
        run.recorder.error("garbage-reply", HOSTILE + "".join(SURROGATES))
        course = Course(run)
        self.assertClean(line(course))
        lines = list(picture(course, 2000, 50))
        self.assertClean("\n".join(text.plain for text in lines))
        console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=5000, markup=False)
        with console.capture() as drawn:
            console.print(*lines, sep="\n", no_wrap=True)
        self.assertNotIn("\x1b]", drawn.get())
        self.assertNotIn("\x9b", drawn.get())
        self.assertIn("[link=http://evil.test]rich[/link]", drawn.get())


def poisoned(document, text):
    """
    @return: a report in which everything that may be any text has this in it.
    """
    document = copy.deepcopy(document)
    fixed = {("tool", "name"), ("started",), ("ended",), ("exercise",), ("ledger", "verdict")}
    for path in places(document):
        *way, last = path
        inner = document
        for name in way:
            inner = inner[name]
        isFree = path not in fixed and path[0] != "histograms" and last not in ("purpose", "kind")
        if isFree and isinstance(inner[last], str):
            inner[last] += text
    for name in ("capabilities", "tls", "errors"):
        document[name] = {key + text: value for key, value in document[name].items()}
    document["replies"] = {
        phase: {code + text: tally for code, tally in codes.items()} for phase, codes in document["replies"].items()
    }
    document["environment"] |= {"host": text, "system": text, "versions": {"python": text}}
    return document


class ReportTests(ToolTestCase, Case):
    """
    Somebody else's report.
    """

    def test_shown(self):
        """
        As text, and as the files that are made of it.
        """
        for document in REPORTS:
            document = {name: value for name, value in document.items() if name != "sink"}  # it is a report of its own
            summary = summaryOf(poisoned(document, HOSTILE))
            for what in (render(summary), "".join(junit.lines(summary)), "".join(csvfile.lines(summary))):
                self.assertClean(what)
            # Nothing of it begins a line. (On a page that is wide enough a line is one.)
            wide = Page(10**6)
            self.assertEqual(render(summary, wide).count("\n"), render(summaryOf(document), wide).count("\n"))

    def test_tools(self):
        """
        Merged and compared, with names of files that are of that kind, too.
        """
        name = ONE_LINE.replace("/", "").replace("\0", "")[:100]
        paths = []
        for number, host in enumerate(("one", "two")):
            document = poisoned({**REPORTS[1], "run": f"r{number}", "limits": []}, HOSTILE)
            document["environment"]["host"] = host + HOSTILE
            path = self.directory / f"{name}{number}.json"
            path.write_text(json.dumps(document))
            paths.append(os.fspath(path))
        report = self.directory / f"{name}merged.json"
        for arguments in (
            ["merge", "--report", os.fspath(report), *paths],
            ["merge", "--report", "-", *paths],
            ["compare", *paths],
            ["compare", "--fail-if", "rate < 1/s", *paths],
            ["merge", paths[0], paths[0]],
            ["merge", f"{self.directory}/{name}none.json"],
            ["merge", f"--{name}"],
            ["merge", "--threshold", HOSTILE.replace("\0", ""), *paths],
            ["merge", "--report", f"/no/{name}", *paths],
        ):
            _, out, err = self.run_(*arguments)
            self.assertClean(out + err)
            self.assertNotEqual(out + err, "")
        plain = [self.directory / f"{number}.json" for number in range(2)]
        for path in plain:
            path.write_text(json.dumps({**REPORTS[1], "limits": []}))
        for each, hosts in ((plain, 0), (paths, 1)):
            _, out, _ = self.run_("compare", *map(os.fspath, each))
            self.assertEqual(hosts, out.count("\n!  not the same host: "), out)
        self.assertClean(report.read_bytes())
        self.assertIn(HOSTILE, json.loads(report.read_text("utf-8"))["environment"]["runs"][0]["host"])

    def test_refused(self):
        """
        What is wrong with one, wherever that is.
        """
        path = self.directory / "bad.json"
        for change in (
            {"tool": {"name": HOSTILE}},
            {"schema": HOSTILE},
            {HOSTILE: 1, "messages": {HOSTILE: HOSTILE}},
            {"ended": HOSTILE},
            {"started": "2026-01-02T03:04:05Z" + HOSTILE},
            {"histograms": {HOSTILE: "AAAA"}},
            {"tls": {HOSTILE: HOSTILE}},
            {"latency": {HOSTILE: dict.fromkeys(("count", "min", "mean", "p50", "p90", "p99", "p99.9", "max"), 1)}},
        ):
            path.write_text(json.dumps({**REPORTS[1], **change}))
            status, out, err = self.run_("merge", os.fspath(path))
            self.assertEqual((status, out), (1, ""), change)
            self.assertEqual(err.count("\n"), 1)
            self.assertClean(err)
        path.write_text(HOSTILE)
        self.assertClean(self.run_("merge", os.fspath(path))[2])


class OptionTests(Case):
    """
    Values of options, names of files and of options, and scenarios.
    """

    VALUE = HOSTILE.replace("\0", "")

    def test_values(self):
        """
        Every option of either command.
        """
        refused = 0
        for options, last in ((SourceOptions, "127.0.0.1"), (SinkOptions, "127.0.0.1:0")):
            for _, group in options.groups:
                for option in group:
                    value = [] if isinstance(option, Flag) else [self.VALUE]
                    try:
                        options().parseOptions([f"--{option.long}", *value, last])
                    except usage.UsageError as e:
                        refused += bool(value)
                        self.assertClean(str(e))
                        self.assertNotIn("\n", str(e))
                    except SystemExit:
                        pass
            for command in ([self.VALUE], [f"--{self.VALUE}"], ["-" + self.VALUE], [last, self.VALUE]):
                self.assertClean(str(self.assertRaises(usage.UsageError, options().parseOptions, command)))
        self.assertGreater(refused, 40)

    def test_scenario(self):
        """
        What stands in a scenario, and what it is called.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        quoted = json.dumps(HOSTILE, ensure_ascii=False).replace("\x7f", "\\u007f")
        path = directory / ("s" + ONE_LINE.replace("/", "").replace("\0", "")[:90])
        for text in (
            f"{quoted} = 1",
            f"rate = {quoted}",
            f"[{quoted}]\na = 1",
            f"message-file = {quoted}",
            f"destination = {quoted}",
            HOSTILE,
            "a = '\udc9b'",
        ):
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            error = self.assertRaises(usage.UsageError, SourceOptions().parseOptions, ["--scenario", os.fspath(path)])
            self.assertClean(str(error))
            self.assertNotIn("\n", str(error))

    def test_presentation(self):
        """
        Whatever else is told.
        """
        out, err = io.StringIO(), io.StringIO()
        self.patch(sys, "__stdout__", out)
        self.patch(sys, "__stderr__", err)
        presentation = Presentation("tool")
        text = HOSTILE + "".join(SURROGATES)
        for _ in range(2):
            presentation.complain(text)
        self.assertEqual(err.getvalue().count("\n"), 2)
        presentation.tell(f"{text}\n")
        self.assertClean(out.getvalue() + err.getvalue())


class SinkTests(Case):
    """
    Clients of the sink.
    """

    def test_everything(self):
        """
        What they say wrong, in the summary, the report and the log of C{-v}.
        """
        log = io.StringIO()
        publisher = LogPublisher(textFileLogObserver(log))
        reactor = FakeReactor()
        from smtpsource.sink import dialogue

        self.patch(dialogue.log, "observer", publisher)
        plan = SinkPlan(verbose=True)
        service = SinkService(reactor, plan)
        factory: SinkFactory = service.factory
        for lines in (
            [
                b"EHLO " + BYTES,
                b"MAIL FROM:<" + BYTES + b">",
                b"RCPT TO:<" + BYTES + b"> " + BYTES,
                b"RCPT TO:<a>" + BYTES,
            ],
            [BYTES],
            [b"EHLO a", b"XCLIENT NAME=" + b"".join(b"+%02X" % byte for byte in BYTES[:100])],
            [b"AUTH " + BYTES, BYTES],
            [b"MAIL " + BYTES, b"DATA " + BYTES, b"BDAT " + BYTES, b"x" * 3000 + BYTES],
        ):
            transport = FakeTransport(reactor)
            transport.protocol = factory.buildProtocol(None)
            transport.protocol.makeConnection(transport)
            for one in lines:
                transport.deliver(one + b"\r\n")
            transport.drop()
        done = []
        service.finish("signal").addCallback(done.append)
        reactor.advance(10)
        [summary] = done
        self.assertGreater(len(summary.errors), 3)
        self.assertIn("xclientAttributes", summary.extensions)
        self.assertClean(summary.asText())
        self.assertClean("".join(jsonPieces(summary.asDict(), ascii=False)))
        self.assertIn("MAIL FROM", log.getvalue())
        self.assertClean(log.getvalue())


class CommandTests(ServingMixin, TestCase, Case):
    """
    The commands, on a terminal.
    """

    timeout = 120

    @defer.inlineCallbacks
    def test_source(self):
        """
        With everything switched on that is for people.
        """
        hello = multiline(250, "here", f"SIZE {ONE_LINE}", f"AUTH {ONE_LINE}").replace(b"\r\n250", b"\n250")
        said = b"%b " + BYTES
        replies = {"BANNER": said % b"220", "EHLO": hello, "RCPT": [said % b"550", None], "DATA": [None, said % b"450"]}
        server = self.serve(replies)
        options = ("-A", "-v", "--esmtp", "-m", "5", "--live", "off", "--color", "never")
        command = smtpsource(self, *options, server.destination, terminal=True)
        result = yield command.whenEnded()
        self.assertIn(b"announced ", result.out)
        self.assertIn(b"<<< 550", result.out)
        self.assertClean(result.out.replace(b"\r\n", b"\n"))

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        Under twistd, which shows errors of the command line itself.
        """
        for arguments in (["--rate", "\x1b[31m"], ["\x1b[31m\u202e"], ["--\x1b[31m"]):
            result = yield twistd(self, "-n", "smtp-source", *arguments).whenEnded()
            self.assertClean(result.out + result.err)

    @defer.inlineCallbacks
    def test_sink(self):
        """
        The sink, at a place with such a name.
        """
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        path = directory / "s\x1b[31m\u202e"
        command = smtpsink(self, "-M", "1", f"unix:{path}")
        yield command.whenPrinted(rb"^listening on ")
        source = yield smtpsource(self, f"unix:{path}").whenEnded()
        result = yield command.whenEnded()
        self.assertEqual(source.status, 0)
        self.assertClean(source.out + source.err + result.out + result.err)
        self.assertIn(b"s?[31m?", result.out)
        result = yield smtpsource(self, f"unix:{path}").whenEnded()
        self.assertEqual(result.status, 1)
        self.assertClean(result.out + result.err)
