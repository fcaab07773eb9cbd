"""
Tests for L{smtpsource.cli.scenario}: a file means what a command line means, and is checked as one.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from textwrap import dedent

import attrs
from commandlines import parsed
from hypothesis import strategies as st
from patience import TEST_LIMIT
from properties import given, settings
from recording import RecordingServer
from subprocesses import ROOT, smtpsource, twistd
from twisted.internet import defer
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.credentials import PASSWORD_VARIABLE
from smtpsource.values.option import Flag

#: Every option, with its table.
TABLES = {option.long: heading.lower() for heading, group in SourceOptions.groups for option in group}

FLAGS = {o.long for _, group in SourceOptions.groups for o in group if isinstance(o, Flag)}

#: Values for some options, good ones and bad ones.
VALUES = {
    "message-count": ["10", "2k", 7, 0, "x", 1.5],
    "session-count": [1, 3, "1"],
    "fixed-interval": ["0.5", 0.25, 2, 1e-7, -1],
    "random-interval": [1, "0.5"],
    "duration": ["1m30s", 5, "x"],
    "rate": ["500/s", 30, "0/s"],
    "arrivals": ["poisson", "constant", "never"],
    "max-late": ["250ms", 1.5],
    "catch-up": ["30s", 2],
    "sender": ["me@example.com", "", "a\nb", "\u00fc@example.com"],
    "subject": ["a \"b\" 'c' \\", "\U0001f600", "--help", 2024],
    "recipient-count": [3, "2"],
    "recipient-numbering": ["suffix", "prefix", "both"],
    "length": ["10k", 4096, 0],
    "message-file": ["message.eml", "none.eml"],
    "myhostname": ["client.example", "[::1]", "a b"],
    "timeout": [60, 0.5, "1m30s", "inf", "nan"],
    "pipelining": ["auto", "off", "force", "yes"],
    "chunking": ["require", "off"],
    "chunk-size": ["4k"],
    "window": [1, "16"],
    "xclient": ["NAME=a.b ADDR=::1", "FOO=1"],
    "auth": ["plain,LOGIN", "x"],
    "auth-user": ["me", "you"],
    "auth-password-file": ["password"],
    "auth-users": ["users", "password"],
    "dsn-notify": ["never"],
    "mt-priority": [-9, "3", 10],
    "deliverby": ["-30;NT", 120],
    "messages-per-connection": [10],
    "bind": ["127.0.0.2,::1"],
    "report": ["results.json", "-", "no/results.json"],
    "grace": [0, "2", "500ms"],
    "threshold": [["errors == 0"], ["errors == 0", "p99(message) < 1s", "errors == 0"], "late == 0", [], ["errors"]],
}
#: C{ipv4} is the one for which a command line takes the last, and a file none: see L{ExclusionTests}.
VALUES |= {flag: [True, False] for flag in FLAGS - {"ipv4"}}


def toml(value):
    """
    @return: a value as TOML has it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
    return repr(value)


def written(chosen, inTables):
    """
    @return: a scenario with these options.
    """
    groups = {}
    for long, value in chosen.items():
        groups.setdefault(TABLES.get(long) if inTables else None, []).append(f"{long} = {toml(value)}")
    lines = groups.pop(None, [])
    for table, entries in groups.items():
        lines += [f"[{table}]", *entries]
    return "\n".join(lines) + "\n"


def typed(chosen, directory):
    """
    @return: a command line with these options, all but its destination; the names of files are absolute.
    """
    words = []
    for long, value in chosen.items():
        for one in value if isinstance(value, list) else [value]:
            if long in FLAGS:
                words += [f"--{long}"] * bool(one)
            else:
                isFile = long.endswith(("file", "users", "report")) and one != "-"
                text = f"{one:.7f}" if one == 1e-7 else str(one)
                words.append(f"--{long}={os.path.join(directory, text) if isFile else text}")
    return words


class Case(SynchronousTestCase):
    """
    Scenarios in a directory with some files, and an environment without a password.
    """

    def setUp(self):
        environment = {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}
        self.patch(os, "environ", environment)
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir(parents=True)
        for name, content in (("message.eml", "a: b\n\nc\n"), ("password", "secret\n"), ("users", "me:x\nyou:y\n")):
            (self.directory / name).write_text(content)
        self.file = self.directory / "load.toml"

    def scenario(self, text, *arguments):
        """
        @return: options that have parsed a scenario and these arguments.
        """
        self.file.write_text(text, "utf-8")
        return parsed("--scenario", str(self.file), *arguments)

    def outcome(self, options, *arguments):
        """
        @return: all that a command line decides, or what is said of it, without the names of options and files.
        """
        try:
            done = options(*arguments)
        except usage.UsageError as e:
            text = re.sub(r" \([\w. -]+ (is|are) in .*load\.toml\)$", "", str(e))
            text = text.replace(f"{self.directory}/", "").replace("'", "")
            return re.sub(r"^(load.toml: [\w-]+\.|load.toml: |-\w \(--|--)([\w-]+)\)?: ", r"\2: ", text)
        return attrs.evolve(done.plan, command=()), done.presentation

    def refused(self, text, *arguments):
        """
        @return: what is said of this scenario, in which the file's name is C{FILE}.
        """
        error = str(self.assertRaises(usage.UsageError, self.scenario, text, *arguments))
        self.assertEqual(len(error.splitlines()), 1, error)
        return error.replace(str(self.file), "FILE")


_some = st.lists(st.sampled_from(sorted(VALUES)), max_size=6, unique=True).flatmap(
    lambda longs: st.fixed_dictionaries({long: st.sampled_from(VALUES[long]) for long in longs})
)


class EquivalenceTests(Case):
    """
    The same options in a file and on a command line.
    """

    @given(
        _some, st.booleans(), st.sampled_from(["127.0.0.1", "relay.example:2525", "unix:/run/socket", "sink:", "a:b"])
    )
    @settings(deadline=None, max_examples=300)
    def test_same(self, chosen, inTables, destination):
        """
        They make the same plan, or are refused with the same words.
        """
        line = self.outcome(parsed, *typed(chosen, self.directory), destination)
        file = written({"destination": destination, **chosen}, inTables)
        self.assertEqual(self.outcome(self.scenario, file), line)

    @given(_some, st.data())
    @settings(deadline=None, max_examples=150)
    def test_divided(self, chosen, data):
        """
        It does not matter which options stand where.
        """
        line = self.outcome(parsed, *typed(chosen, self.directory), "127.0.0.1")
        inFile = data.draw(st.sets(st.sampled_from(sorted(chosen)))) if chosen else set()
        file = written({long: value for long, value in chosen.items() if long in inFile}, True)
        rest = {long: value for long, value in chosen.items() if long not in inFile}
        divided = self.outcome(self.scenario, file, *typed(rest, self.directory), "127.0.0.1")
        if not isinstance(line, str):
            self.assertEqual(divided, line)

    @given(_some, st.data())
    @settings(deadline=None, max_examples=150)
    def test_commandLineWins(self, chosen, data):
        """
        What a file says of options that the command line has too does not count, right or wrong.
        """
        chosen = {long: value for long, value in chosen.items() if value not in (False, [])}
        other = {long: data.draw(st.sampled_from(VALUES[long])) for long in chosen}
        words = [*typed(chosen, self.directory), "127.0.0.1"]
        file = written({"destination": "sink:", **other}, True)
        self.assertEqual(self.outcome(self.scenario, file, *words), self.outcome(parsed, *words))


class ExclusionTests(Case):
    """
    What is given excludes what is in the file.
    """

    def test_given(self):
        """
        The command line wins over what it excludes, and over what makes no sense without that.
        """
        message = f"--message-file={self.directory / 'message.eml'}"
        for file, words in (
            ("length = 5", [message]),
            ("message-file = 'message.eml'", ["-l", "5"]),
            ("fixed-interval = 1", ["-R", "1"]),
            ("stages = '0:0,1m:50'", ["--rate=5", "--duration=1m"]),
            ("stages = '0:1,1m:50'\nstages-of = 'sessions'", ["--rate=5", "--duration=1m"]),
            ("ramp-up = 5\nfixed-interval = 1", ["--rate=5", "--duration=1m"]),
            ("rate = 5", ["--stages=0:1,1m:50"]),
            ("fixed-interval = 1", ["--find-rate=errors==0", "--rate=5"]),
            ("stages = '0:1,1m:50'\nrandom-interval = 1\nramp-up = 1", ["--find-rate=errors==0"]),
            ("window = 2", ["-d", "--pipelining=auto", "--chunking=off"]),
            ("window = 2", ["-d", "--pipelining=auto", "--chunking=auto", "-w", "1"]),
            ("window = 2", ["--pipelining=auto", "--chunking=auto", "--messages-per-connection=1"]),
            ("fixed-interval = 1", ["-d", "--pipelining=auto", "--chunking=auto", "--window=2"]),
            ("length = 5\nsize = true\nwindow = 2\npipelining = 'auto'\nchunking = 'auto'", ["--noop"]),
            ("noop = true", ["-l", "5"]),
            ("esmtp = true", ["-L"]),
            ("helo = 'a'", ["-o"]),
            (
                "rate = 5\nmax-late = 1\ncatch-up = 1\narrivals = 'poisson'",
                ["--stages=0:1,1m:50", "--stages-of=sessions"],
            ),
            ("old-mode = true", ["--esmtp"]),
            ("esmtp = true\npipelining = 'auto'\nxclient = 'NAME=a'\nsize = true", ["-o"]),
            ("chunking = 'auto'\nchunk-size = 5", ["--chunking=off"]),
            ("tls = 'starttls'\ntls-verify = true\ntls-server-name = 'a'", ["--tls=off"]),
            ("connect-only = true", ["--noop"]),
            ("connect-only = true", ["-d"]),
            ("dont-disconnect = true\nmessages-per-connection = 5", ["--connect-only"]),
            ("ipv4 = true", ["-6"]),
            ("ipv6 = true", ["-4"]),
            (
                "auth-users = 'users'",
                ["--auth=PLAIN", "--auth-user=me", f"--auth-password-file={self.directory / 'users'}"],
            ),
            (
                "auth-user = 'me'\nauth-password-file = 'users'",
                ["--auth=PLAIN", f"--auth-users={self.directory / 'users'}"],
            ),
        ):
            expected = self.outcome(parsed, *words, "localhost")
            self.assertNotIsInstance(expected, str)
            self.assertEqual(self.outcome(self.scenario, f"destination = 'localhost'\n{file}", *words), expected, file)

    def test_destination(self):
        """
        A destination that is given wins over what makes no sense with it; one in the file does not.
        """
        for file, destination in (
            ("mx = true\ndns-server = '::1'", "sink:"),
            ("mx = true", "[::1]"),
            ("bind = '::1'", "unix:/a"),
        ):
            expected = self.outcome(parsed, destination)
            self.assertEqual(self.outcome(self.scenario, f"destination = 'a'\n{file}", destination), expected)
        self.assertEqual(
            self.refused("destination = 'unix:/a'", "--mx"),
            "--mx and a UNIX socket exclude each other: it has no addresses",
        )

    def test_inFile(self):
        """
        Two in the file are an error that names both, with their tables.
        """
        for file, expected in (
            (
                "[message]\nlength = '5'\nmessage-file = 'x'",
                "-l (--length) '5' and -F (--message-file) 'x' exclude each other: give one of them "
                "(message.length and message.message-file are in FILE)",
            ),
            (
                "connect-only = true\nnoop = true",
                "--connect-only and --noop exclude each other: expected one of them "
                "(connect-only and noop are in FILE)",
            ),
            (
                "[connections]\nipv4 = true\nipv6 = true",
                "FILE: connections.ipv4 and connections.ipv6 exclude each other: give one of them",
            ),
            (
                "[tls]\ntls-verify = true",
                "--tls-verify needs --tls starttls or implicit (tls.tls-verify is in FILE)",
            ),
            (
                "[login]\nauth = 'PLAIN'",
                "--auth needs a user: expected --auth-user USER, or --auth-users FILE (login.auth is in FILE)",
            ),
            ("window = 5", "--window needs --pipelining (window is in FILE)"),
        ):
            self.assertEqual(self.refused(file, "127.0.0.1"), expected)

    def test_neither(self):
        """
        What the file has nothing to do with is said without it.
        """
        self.assertEqual(
            self.refused("lmtp = true", "-o", "--esmtp", "sink:"),
            "--esmtp and -o (--old-mode) exclude each other: it says no EHLO",
        )


class ErrorTests(Case):
    """
    What is said of a file that can't be used.
    """

    def check(self, *table):
        for text, expected in table:
            self.assertEqual(self.refused(text, "127.0.0.1"), expected)

    def test_values(self):
        """
        A bad value is named with its key, its table, and what would be right: the words of the command line.
        """
        self.check(
            (
                "[load]\nrate = '500/d'",
                "FILE: load.rate: '500/d' is not usable: expected a rate such as 500/s, 30/m or 10/h "
                "(a number alone is per second)",
            ),
            *(
                (
                    f"{key} = {value}",
                    f"FILE: {key}: {value} is not usable: expected a time such as 30s, 500ms or 1h30m "
                    "(a number alone is seconds)",
                )
                for key, value in (("grace", -1), ("timeout", "inf"))
            ),
            (
                "[results]\nthreshold = ['errors == 0', 'errors = 0']",
                "FILE: results.threshold: 'errors = 0' is not usable: "
                "expected one of <, <=, >, >=, ==, != after errors, not '='",
            ),
            (
                "message-file = 'none'",
                "FILE: message-file: 'none' is not usable: expected a readable file: No such file or directory",
            ),
        )

    def test_kinds(self):
        """
        Flags are true or false, other values texts or numbers; a list only where several are possible.
        """
        number, several = "expected a text or a number", "expected a text or a number, or a list of them"
        self.check(
            ("lmtp = 1", "FILE: lmtp: 1 is not usable: expected true or false"),
            ("[dialogue]\nlmtp = 'yes'", "FILE: dialogue.lmtp: 'yes' is not usable: expected true or false"),
            ("verbose = 2", "FILE: verbose: 2 is not usable: expected true or false"),
            ("message-count = true", f"FILE: message-count: true is not usable: {number}"),
            ("bind = ['::1']", f"FILE: bind: a list is not usable: {number}"),
            ("duration = 07:32:00", f"FILE: duration: 07:32:00 is not usable: {number}"),
            ("[load]\nrate.stages = 5", f"FILE: load.rate: a table is not usable: {number}"),
            ("rate.stages = 5", f"FILE: rate: a table is not usable: {number}"),
            ("threshold = false", f"FILE: threshold: false is not usable: {several}"),
            ("threshold = ['errors == 0', []]", f"FILE: threshold: a list is not usable: {several}"),
            (
                "subject = 'a\\u0000'".replace("'", '"'),
                "FILE: subject: 'a\\x00' is not usable: expected a text without NUL bytes",
            ),
            ("destination = 25", "FILE: destination: 25 is not usable: expected a text"),
        )

    def test_keys(self):
        """
        A key that is no option, or stands in the wrong place, is told where and what it could have been.
        """
        self.check(
            ("mesage-count = 5", "FILE: mesage-count is no option: expected message-count"),
            ("[load]\nmessage_count = 5", "FILE: load.message_count is no option: expected message-count"),
            ("s = 5", "FILE: s is no option: expected session-count"),
            ("sesions = 5", "FILE: sesions is no option: expected session-count"),
            ("destinaton = 'a'", "FILE: destinaton is no option: expected destination"),
            ("xyz = 5", "FILE: xyz is no option: expected the long name of one, such as session-count"),
            ("help = true", "FILE: help is no option: expected helo"),
            (
                "scenario = 'load.toml'",
                "FILE: scenario is no option: expected the long name of one, such as session-count",
            ),
            ('"a\\nb" = 5', "FILE: 'a\\nb' is no option: expected the long name of one, such as session-count"),
            ('"" = 5', "FILE: '' is no option: expected the long name of one, such as session-count"),
            ("[load]\nlength = 5", "FILE: load.length: expected it in [message], or at the top"),
            ("[load]\ndestination = 'a'", "FILE: load.destination: expected it at the top, before the first table"),
            ("rate = 5\n[load]\nrate = 5", "FILE: load.rate and rate are the same option: expected one of them"),
            ("load = 5", "FILE: load is no option: expected a table, [load]"),
            ("at = '1 true'", "FILE: at is not usable: expected it on the command line, and in no file"),
            (
                "[results]\nevery = ['1 true']",
                "FILE: results.every is not usable: expected it on the command line, and in no file",
            ),
            ("[[load]]\nrate = 5", "FILE: load is no option: expected a table, [load]"),
        )
        self.assertTrue(
            self.refused("[lod]\nrate = 5").startswith(
                "FILE: [lod] is no table of options: expected one of load, workers, message, "
            )
        )

    def test_noPassword(self):
        """
        There is no key for a password; what somebody has written there all the same is not shown.
        """
        for key in ("password", "auth-password", "login.password"):
            error = self.refused(f"{key} = 'secret'", "127.0.0.1")
            self.assertEqual(error, f"FILE: {key} is no option: expected auth-password-file")
        for text in (
            "auth-passwordhunter2 = true",
            "'auth-password: hunter2' = true",
            "[login]\nauth-password = hunter2",
            "[login]\nauth-password-file = 'hunter2'",
            "[login]\nauth-password-file = ['hunter2']",
            '[login]\nauth-password-file = "a\\u0000hunter2"',
            "[login]\nauth = 'hunter2'",
            "[login]\nauth-users = 'me:hunter2'",
            "[tls]\ntls-key = 'hunter2'",
            "destination = 'smtp://me:hunter2@localhost'",
            "destination = 'me:hunter2@localhost'",
        ):
            arguments = [] if text.startswith("destination") else ["127.0.0.1"]
            self.assertNotIn("hunter2", self.refused(text, *arguments))

    def test_syntax(self):
        """
        What is not TOML is told with line and column.
        """
        for text, place in (
            ("rate = 5\nlength = = 5\n", "line 2, column 10"),
            ("[load\n", "line 1, column 6"),
            ("rate = 5\nrate = 6\n", "line 2, column 9"),
            ("rate", "end of document"),
        ):
            self.assertTrue(self.refused(text).startswith(f"FILE: {place} is not usable: expected TOML: "), text)
        self.assertEqual(
            self.refused("a = " + "[" * 100_000),
            "--scenario: 'FILE' is not usable: expected TOML with fewer brackets in brackets",
        )

    def test_long(self):
        """
        A number of thousands of digits is none of ours, however it is written.
        """
        self.assertIn("expected numbers with fewer digits", self.refused(f"length = {'9' * 5000}"))
        self.assertIn("expected a size in bytes", self.refused(f"length = 0x{'f' * 5000}", "sink:"))

    def test_encoding(self):
        """
        TOML is UTF-8.
        """
        self.file.write_bytes(b"rate = 5\n# gr\xfcn\n")
        error = str(self.assertRaises(usage.UsageError, parsed, "--scenario", str(self.file), "127.0.0.1"))
        self.assertEqual(error, f"{self.file}: line 2 is not usable: expected UTF-8")

    def test_noFile(self):
        """
        A file that can't be read, or whose name is strange.
        """
        for name, problem in (
            ("none.toml", "No such file or directory"),
            (".", "Is a directory"),
            ("", "No such file"),
        ):
            error = str(self.assertRaises(usage.UsageError, parsed, "--scenario", name, "127.0.0.1"))
            self.assertTrue(
                error.startswith(f"--scenario: {name!r} is not usable: expected a readable file: {problem}")
            )
        self.file = self.directory / "a\nb"
        self.assertIn("a\\nb': x is no option", self.refused("x = 5"))

    def test_noDestination(self):
        """
        A destination must be there or here.
        """
        self.assertEqual(self.refused(""), "no destination: expected it at the end, or as destination in FILE")
        self.assertEqual(
            self.refused("destination = 'a:x'"),
            "destination 'a:x' is not usable: expected a port from 1 to 65535 or the name of a service, such as "
            "localhost:2525 (destination is in FILE)",
        )


class PathTests(Case):
    """
    Relative paths start from the file.
    """

    def test_paths(self):
        """
        Each of them, wherever the command was started, and the current directory stays what it is.
        """
        before = os.getcwd()
        text = "destination = 'unix:socket'\nmessage-file = 'message.eml'\nreport = 'sub/results.json'\n"
        (self.directory / "sub").mkdir()
        options = self.scenario(text)
        self.assertEqual(options.plan.destination.path, str(self.directory / "socket"))
        self.assertEqual(options.plan.message, b"a: b\n\nc\n")
        self.assertEqual(options.presentation.report, str(self.directory / "sub/results.json"))
        self.assertEqual(os.getcwd(), before)
        plan = self.scenario("destination = 'lmtp:unix:socket'").plan
        self.assertEqual((plan.destination.path, plan.lmtp), (str(self.directory / "socket"), True))

    def test_schemes(self):
        """
        A destination of the command line wins over what makes no sense with it, and options over nothing that one says.
        """
        plan = self.scenario("destination = 'a'\ntls = 'starttls'\nlmtp = true", "lmtp://localhost").plan
        self.assertEqual((plan.lmtp, plan.tls), (True, "starttls"))
        plan = self.scenario("lmtp = true", "smtp://localhost").plan
        self.assertFalse(plan.lmtp)
        for file, words, expected in (
            (
                "destination = 'smtp://a'",
                ["-L"],
                "-L (--lmtp) and the destination smtp: exclude each other: that is SMTP",
            ),
            (
                "destination = 'smtps://a'\ntls = 'off'",
                [],
                "--tls 'off' and the destination smtps: exclude each other: that is --tls implicit (tls is in FILE)",
            ),
        ):
            self.assertEqual(self.refused(file, *words), expected)

    def test_relativeScenario(self):
        """
        The scenario's own path may be relative, and is made absolute.
        """
        self.file.write_text("destination = 'unix:/run/socket'\nreport = 'results.json'\n")
        with contextlib.chdir(self.directory.parent):
            name = os.path.join(self.directory.name, "load.toml")
            options = parsed("--scenario", name)
        self.assertEqual(options["scenario"], str(self.file))
        self.assertEqual(options.presentation.report, str(self.directory / "results.json"))
        self.assertEqual(options.plan.destination.path, "/run/socket")
        self.assertEqual(options.plan.command, ("smtpsource", "--scenario", name))

    def test_standardOutput(self):
        """
        C{-} is no path.
        """
        self.assertEqual(self.scenario("destination = 'sink:'\nreport = '-'").presentation.report, "-")


class DocumentationTests(Case):
    """
    What is documented is so.
    """

    def test_example(self):
        """
        The example can be used as it is, and means what its comments say.
        """
        text = (ROOT / "docs" / "scenario.rst").read_text("utf-8")
        blocks = [dedent(block).strip() for block in re.findall(r"::\n\n((?:(?:    .*)?\n)+)", text)]
        (self.directory / "password.txt").write_text("secret\n")
        plan = self.scenario(blocks[0]).plan
        self.assertEqual((plan.sessionCount, plan.numberRecipients, plan.tolerant), (50, True, True))
        self.assertEqual((plan.rate, plan.duration, plan.length), (500.0, 300.0, 8192))
        self.assertEqual([login.password for login in plan.logins], ["secret"])
        self.assertEqual(len(plan.thresholds), 3)
        words = blocks[1].split()[3:]
        self.assertEqual(self.scenario(blocks[0], *words).plan.rate, 800.0)
        wrong = {
            "load.rate: '500/d'": blocks[0].replace("500/s", "500/d"),
            "load.sesion-count": blocks[0].replace("session-count", "sesion-count"),
            "message.rate": "[message]\nrate = 5",
            "line 3, column 8": "\n\nrate = =5",
            "-l (--length)": blocks[0].replace("length =", "message-file = 'a.eml'\nlength ="),
        }
        for (start, file), line in zip(wrong.items(), blocks[2].splitlines(), strict=True):
            self.assertIn(start, line)
            self.assertEqual(self.refused(file).replace("FILE", "relay.toml"), line)


class CommandTests(TestCase):
    """
    As a process.
    """

    timeout = TEST_LIMIT

    def setUp(self):
        self.server = RecordingServer(None, False)
        self.addCleanup(self.server.stop)
        destination = self.server.listen("inet").destination
        directory = Path(self.mktemp())
        (directory / "sub").mkdir(parents=True)
        self.directory = directory.resolve()
        file = self.directory / "sub" / "load.toml"
        file.write_text(f"destination = '{destination}'\nmessage-count = 5\n[results]\nreport = 'results.json'\n")

    @defer.inlineCallbacks
    def test_command(self):
        """
        C{smtpsource --scenario FILE} is all it takes.
        """
        result = yield smtpsource(self, "--scenario", "sub/load.toml", "-s", "2", cwd=self.directory).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(len(self.server.messages), 5)
        self.assertTrue((self.directory / "sub" / "results.json").exists())

    @defer.inlineCallbacks
    def test_twistd(self):
        """
        It is the same under C{twistd}.
        """
        line = ["-n", "smtp-source", "--scenario", "sub/load.toml", "-m", "3"]
        result = yield twistd(self, *line, cwd=self.directory).whenEnded()
        self.assertEqual((result.status, result.err), (0, b""))
        self.assertEqual(len(self.server.messages), 3)
        self.assertTrue((self.directory / "sub" / "results.json").exists())

    @defer.inlineCallbacks
    def test_refused(self):
        """
        What can't be used is one line and status 2.
        """
        (self.directory / "bad.toml").write_text("[load]\nmessage-count = 0\n")
        result = yield smtpsource(self, "--scenario", "bad.toml", "sink:", cwd=self.directory).whenEnded()
        self.assertEqual((result.status, result.out), (2, b""))
        expected = (
            rb"smtpsource: bad.toml: load.message-count: 0 is not usable: expected [^\n]+ \(see smtpsource --help\)\n"
        )
        self.assertRegex(result.err, rb"\A" + expected + rb"\Z")
