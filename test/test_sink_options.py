"""
Tests for L{smtpsource.sink.options}.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket

from commandlines import sinkParsed
from twisted.application.app import ReactorSelectionMixin
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import speedups
from smtpsource._version import __version__
from smtpsource.sink.options import SinkOptions, parseAddress
from smtpsource.sink.plan import SinkPlan
from smtpsource.sink.tap import Options
from smtpsource.sink.tls import available


def words(text):
    """
    @return: the words of a command line.
    """
    return text.split()


class Twistd(usage.Options, ReactorSelectionMixin):
    """
    What matters here of the options of twistd.
    """

    optFlags = [["nodaemon", "n", ""]]


class PlanTests(SynchronousTestCase):
    """
    What options mean.
    """

    def test_defaults(self):
        """
        With an address only, the sink has no limits but that on silence.
        """
        plan = sinkParsed("127.0.0.1:2525").plan
        self.assertEqual(plan, SinkPlan(host="127.0.0.1", port=2525, command=("smtpsink", "127.0.0.1:2525")))
        self.assertEqual((plan.idleTimeout, plan.backlog, plan.maxSessions), (100.0, 1024, None))

    def test_everything(self):
        """
        Each option, by its letter.
        """
        arguments = words("-4 -8 -e -h mx.example.com -L -m 10 -M 2k -n 3 -p -t 0.5 -T 8k -E localhost:smtp 77")
        self.assertEqual(
            sinkParsed(*arguments).plan,
            SinkPlan(
                host="localhost",
                port=25,
                family=socket.AF_INET,
                backlog=77,
                windowSize=8192,
                hostname="mx.example.com",
                lmtp=True,
                esmtp=False,
                pipelining=False,
                eightBitMIME=False,
                enhancedStatusCodes=False,
                maxSessions=10,
                messageLimit=2000,
                sessionLimit=3,
                idleTimeout=0.5,
                command=("smtpsink", *arguments),
            ),
        )

    def test_extensions(self):
        """
        Each extension has a switch; letters are Postfix's.
        """
        arguments = words(
            "--no-starttls --no-auth --no-chunking --no-dsn --no-smtputf8 --no-requiretls --no-mt-priority "
            "--no-deliverby --no-xclient --proxy-protocol :1"
        )
        self.assertEqual(
            sinkParsed(*arguments).plan,
            SinkPlan(
                host="",
                port=1,
                startTLS=False,
                auth=False,
                chunking=False,
                dsn=False,
                smtpUTF8=False,
                requireTLS=False,
                mtPriority=False,
                deliverBy=False,
                xclient=False,
                proxyProtocol=True,
                command=("smtpsink", *arguments),
            ),
        )
        plan = sinkParsed("-a", "-C", "-N", ":1").plan
        self.assertEqual((plan.auth, plan.xclient, plan.dsn), (False, False, False))

    def test_users(self):
        """
        The file of users is read at once, and its name made absolute.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("alice:secret\n")
        self.assertEqual(sinkParsed("--auth-users", path, ":1").plan.authUsers, os.path.abspath(path))

    def test_longNames(self):
        """
        Each option, by its long name.
        """
        short = words("-6 -8 -e -h x -L -m 1 -M 2 -n 3 -p -t 4 -T 5 -E -c -v -u root :1")
        long = words(
            "--ipv6 --no-8bitmime --no-esmtp --hostname x --lmtp --max-sessions 1 --max-messages 2 --session-limit 3 "
            "--no-pipelining --timeout 4 --window-size 5 --no-enhancedstatuscodes --counter --verbose --user root :1"
        )
        self.assertEqual(dict(sinkParsed(*short)), dict(sinkParsed(*long)))

    def test_presentation(self):
        """
        What is shown.
        """
        shown = sinkParsed("-c", "--quiet", "--report", "result.json", ":1").presentation
        self.assertEqual((shown.counter, shown.quiet, shown.daemonized), (True, True, False))
        self.assertEqual(shown.report, os.path.abspath("result.json"))

    def test_postfix(self):
        """
        Command lines of Postfix's smtp-sink go on working, with its mandatory backlog and with what is not
        offered.
        """
        options = sinkParsed(*words("-a -C -F -N -c -v -v -u root -m 500 inet:127.0.0.1:2525 100"))
        self.assertEqual((options.plan.port, options.plan.backlog, options.plan.maxSessions), (2525, 100, 500))
        self.assertEqual(options.user, "root")
        self.assertTrue(options.plan.verbose)

    def test_plugin(self):
        """
        The plugin finds the options where it looks for them.
        """
        self.assertIs(Options, SinkOptions)


class AddressTests(SynchronousTestCase):
    """
    Where to listen.
    """

    def test_addresses(self):
        """
        All the ways to write it.
        """
        for text, expected in {
            "2525": ("", 2525, None),
            ":2525": ("", 2525, None),
            "inet:2525": ("", 2525, None),
            "inet::0": ("", 0, None),
            "localhost:smtp": ("localhost", 25, None),
            "127.0.0.1:2525": ("127.0.0.1", 2525, None),
            "[127.0.0.1]:2525": ("127.0.0.1", 2525, None),
            "inet:[::1]:2525": ("::1", 2525, None),
            "unix:/tmp/sink": ("", 0, "/tmp/sink"),
            "unix:sink": ("", 0, os.path.abspath("sink")),
            "localhost.:2525": ("localhost", 2525, None),
            "smtp://127.0.0.1:2525": ("127.0.0.1", 2525, None),
            "smtp://127.0.0.1/": ("127.0.0.1", 25, None),
            "smtps://[::1]": ("::1", 465, None),
            "smtps://:0/": ("", 0, None),
            "lmtp://localhost": ("localhost", 24, None),
            "lmtp:unix:/run/x@y": ("", 0, "/run/x@y"),
            "lmtp:inet:[::1]:24": ("::1", 24, None),
            "smtp:25": ("smtp", 25, None),
        }.items():
            self.assertEqual(parseAddress(text), expected, text)

    def test_unusable(self):
        """
        And some that aren't any; the error says what would be right.
        """
        for text in ("", ":", "localhost", "localhost:", "::1:25", "[::1]25", "[]:25", ":65536", ":-1", ":1x", "a:b:c"):
            self.assertRaisesRegex(ValueError, r"expected \[inet:\]\[host\]:port", parseAddress, text)
        for text in ("unix:", "unix:/tmp/", "unix:/" + "x" * 120):
            self.assertRaisesRegex(ValueError, "expected unix: and the path", parseAddress, text)


class ErrorTests(SynchronousTestCase):
    """
    One line that names the option, the value and what would be right.
    """

    def refused(self, *arguments, parent=None):
        """
        @return: the text of the usage error.
        """
        text = str(self.assertRaises(usage.UsageError, sinkParsed, *arguments, parent=parent))
        self.assertNotIn("\n", text)
        return text

    def test_values(self):
        """
        Every value is checked.
        """
        number = "expected a whole number of at least 1, such as 20, 10k or 1m"
        for letter, long, value, expected in (
            ("-m", "--max-sessions", "x", number),
            ("-M", "--max-messages", "0", number),
            ("-n", "--session-limit", "-3", number),
            ("-t", "--timeout", "0", "expected a time of more than 0, such as 30s"),
            ("-T", "--window-size", "big", "expected a size in bytes"),
            ("-h", "--hostname", "a..b", "expected a host name"),
            ("-u", "--user", "no such user", "expected the name of a user of this system"),
        ):
            for option in (letter, long):
                text = self.refused(option, value, ":1")
                self.assertTrue(text.startswith(f"{letter} ({long}): {value!r} is not usable: {expected}"), text)

    def test_report(self):
        """
        A report needs a place; a daemon has no standard output.
        """
        self.assertIn("--report: '/nowhere/x' is not usable", self.refused("--report", "/nowhere/x", ":1"))
        self.assertIn("--report: '-' is not usable by a daemon", self.refused("--report", "-", ":1", parent=Twistd()))
        foreground = Twistd()
        foreground["nodaemon"] = 1
        self.assertFalse(sinkParsed("--report", "-", ":1", parent=foreground).presentation.daemonized)

    def test_positions(self):
        """
        There is one address and at most one backlog, after the options.
        """
        self.assertIn("no address to listen on", self.refused())
        self.assertIn("address 'x' is not usable", self.refused("x"))
        self.assertIn("address 'a\\nb:1' is not usable: expected a text without line ends", self.refused("a\nb:1"))
        self.assertIn("backlog 'x' is not usable: expected a whole number", self.refused(":1", "x"))
        self.assertIn("'3' is too much", self.refused(":1", "2", "3"))
        self.assertIn("-c: options go before the address", self.refused(":1", "-c"))

    def test_schemes(self):
        """
        What an address says of the protocol is as if options said it, unless they say something else.
        """
        for words, lmtp, tls in (
            (["smtp://:1"], False, False),
            (["lmtp://:1"], True, False),
            (["-L", "lmtp:unix:/x"], True, False),
            (["smtps://:1"], False, True),
            (["--tls", "smtp://:1"], False, True),
        ):
            plan = sinkParsed(*words).plan
            self.assertEqual((plan.lmtp, plan.tls), (lmtp, tls), words)
        self.assertIn("-L (--lmtp) and the address smtps: exclude each other", self.refused("-L", "smtps://:1"))
        self.assertIn("'http://:1' is not usable: expected smtp://, smtps:// or lmtp://", self.refused("http://:1"))
        self.assertIn("'tcp::1:1' is not usable: expected [inet:]", self.refused("tcp::1:1"))
        self.assertNotIn("hunter2", self.refused("smtp://me:hunter2@localhost"))

    def test_missingValue(self):
        """
        The address is not the value of an option that can't have it.
        """
        for option, name in (("-m", "max-sessions"), ("--timeout", "timeout")):
            text = self.refused(option, ":2525")
            self.assertIn(f"--{name}): its value is missing: ':2525' is the address", text)
        self.assertIn("-h (--hostname): its value is missing: -c is an option", self.refused("-h", "-c", ":1"))

    def test_tlsFiles(self):
        """
        Each file is blamed by its own option.
        """
        from certificates import makeCertificates  # it needs cryptography

        made = makeCertificates(self.mktemp())
        certificate, key = str(made.certificate), str(made.clientKey)
        for words, option, path in (
            (["--tls-cert", key], "--tls-cert", key),
            (["--tls-cert", certificate], "--tls-cert", certificate),
            (["--tls-cert", certificate, "--tls-key", key], "--tls-key", key),
            (["--tls-cert", key, "--tls-key", str(made.key)], "--tls-cert", key),
        ):
            text = self.refused("--tls", *words, ":1")
            self.assertTrue(text.startswith(f"{option}: {path!r} is not usable: expected "), text)

    if not available():
        test_tlsFiles.skip = "there is no pyOpenSSL"

    def test_families(self):
        """
        An address is of the family that was asked for, and only one can be.
        """
        self.assertIn("exclude each other", self.refused("-4", "-6", ":1"))
        self.assertIn("'::1' is not usable: expected an IPv4 address", self.refused("-4", "[::1]:1"))
        self.assertIn("'127.0.0.1' is not usable: expected an IPv6 address", self.refused("-6", "127.0.0.1:1"))

    def test_files(self):
        """
        Files must be there, and a key belongs to a certificate; a line that is no user is not shown.
        """
        for option in ("--tls-cert", "--tls-key", "--auth-users"):
            text = self.refused(option, "/nowhere/x", ":1")
            self.assertEqual(
                text, f"{option}: what was given is not usable: expected a readable file: No such file or directory"
            )
        path = os.path.abspath(self.mktemp())
        with open(path, "w") as file:
            file.write("secret\n")
        self.assertEqual(
            self.refused("--tls-key", path, ":1"),
            f"--tls-key: {path!r} is not usable: expected a --tls-cert that it belongs to",
        )
        self.assertEqual(
            self.refused("--auth-users", path, ":1"),
            f"--auth-users: {path!r} is not usable: expected user:password in line 1",
        )

    def test_faults(self):
        """
        The letters of faults say what would be right.
        """
        words = "connect, helo, ehlo, lhlo, xclient, xforward, auth, mail, rcpt, data, ., rset, noop, vrfy or quit"
        for letter, long in zip("fqQrs", ["fail", "drop", "hang-up", "defer", "syslog"], strict=True):
            self.assertEqual(
                self.refused(f"-{letter}", "mail,rctp", ":1"),
                f"-{letter} (--{long}): 'mail,rctp' is not usable: expected {words}",
            )
        self.assertEqual(
            self.refused("-b", "550 no", ":1"),
            "-b (--soft-reply): '550 no' is not usable: expected a reply that begins with 4 and two more digits, such "
            "as '450 no'",
        )
        self.assertEqual(
            self.refused("-W", "data", ":1"),
            "-W (--delay-reply): 'data' is not usable: expected COMMAND:TIME or COMMAND:TIME:ODDS, such as data:2s or "
            "rcpt:1:30",
        )
        self.assertIn("whole number from 0 to 99", self.refused("-W", "data:1:100", ":1"))

    def test_neverAsked(self):
        """
        A rule that is only for what the sink does not offer is refused.
        """
        rule = 'on = "auth", do = { reply = "450 4.0.0 later" }'
        self.assertEqual(
            self.refused("-a", "--rule", rule, ":1"),
            "rule 1 (auth): on: 'auth' is not usable with -a (--no-auth): it never comes",
        )
        rule = 'on = ["starttls", "mail"], do = { reply = "450 4.0.0 later" }'
        SinkOptions().parseOptions(["--no-starttls", "--rule", rule, "--profile", "strict", ":1"])

    def test_places(self):
        """
        Where nothing can be kept is said before anything listens.
        """
        os.makedirs(directory := self.mktemp())
        path = os.path.join(directory, "file")
        with open(path, "w"):
            pass
        os.mkfifo(fifo := os.path.join(directory, "fifo"))
        os.makedirs(os.path.join(directory, "mail"))
        os.symlink("../file", os.path.join(directory, "mail", "new"))
        for shown, *places in (
            ("--maildir", f"{path}/x", path, fifo, "/proc/x", "/proc/x/y", f"{directory}/mail"),
            ("--mbox", f"{path}/x", directory, fifo, "/proc/x"),
            ("--ledger", f"{path}/x", path, fifo, "/proc/x", "/proc/x/y"),
            ("-d (--dump)", f"{path}/x", f"{path}/%H/x", "/proc/x%H", "/proc/x/"),
            ("-D (--dump-append)", f"{path}/x", f"{path}/%H/x", "/proc/x", directory, fifo),
        ):
            for place in places:
                said = self.refused(shown.partition(" ")[0], place, ":1")
                self.assertIn(f"{shown}: {place!r} is not usable: expected", said)
        before = os.listdir(directory)
        sinkParsed("--ledger", f"{directory}/new/ledger", "--ledger-sync", ":1")
        self.assertEqual("--ledger-sync needs --ledger", self.refused("--ledger-sync", ":1"))
        sinkParsed("--maildir", f"{directory}/new", "--mbox", f"{directory}/mbox", "-d", f"{directory}/d/%H/x", ":1")
        sinkParsed("--maildir", directory, "--mbox", path, "-D", f"{directory}/d/e/x", ":1")
        sinkParsed("-D", "/dev/null", ":1")
        self.assertEqual(os.listdir(directory), before)
        self.assertEqual(
            self.refused("-d", "x", "-S", r"\400", ":1"),
            r"-S (--dump-start): '\\400' is not usable: expected a text without a NUL character",
        )

    def test_unknown(self):
        """
        An unknown option is named.
        """
        self.assertIn("--frob", self.refused("--frob", ":1"))


class HelpTests(SynchronousTestCase):
    """
    --help and --version.
    """

    def shown(self, argument):
        """
        @return: what an option shows before it exits.
        """
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(self.assertRaises(SystemExit, sinkParsed, argument).code, 0)
        return out.getvalue()

    def test_help(self):
        """
        All options are listed, with their defaults.
        """
        text = self.shown("--help")
        for long, short, *_ in [*SinkOptions.optFlags, *SinkOptions.optParameters]:
            self.assertIn(f"--{long}", text)
            if short:
                self.assertIn(f"  -{short}, --{long}", text)
        self.assertIn("(default: smtp-sink)", " ".join(text.split()))
        self.assertIn("(default: 100s)", text)
        self.assertLess(max(map(len, text.splitlines())), 110)

    def test_version(self):
        """
        The version is ours, not Twisted's.
        """
        self.assertEqual(self.shown("--version"), f"smtpsink {__version__} ({speedups.NAME})\n")
