"""
Tests for L{smtpsource.cli.source} and L{smtpsource.cli.commandline}: what a command line means, and what is wrong with
it.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
from unittest import mock

from commandlines import parsed, sinkParsed
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import speedups
from smtpsource._version import __version__
from smtpsource.beside.values import Errand
from smtpsource.cli import source as module
from smtpsource.cli.source import SourceOptions
from smtpsource.credentials import PASSWORD_VARIABLE, Credentials
from smtpsource.net.destination import HostDestination, SinkDestination, UNIXDestination
from smtpsource.net.tls import client
from smtpsource.net.tls.settings import TLSSettings
from smtpsource.plan import SourcePlan
from smtpsource.report.presentation import Presentation
from smtpsource.sink.options import SinkOptions
from smtpsource.smtp.parameters import Parameters
from smtpsource.tap import Options
from smtpsource.tools.calibrate import CalibrateOptions
from smtpsource.values.option import Flag, ValueOption
from smtpsource.values.serving import Where

try:
    import OpenSSL
except ImportError:
    OpenSSL = None

GOAL = HostDestination("127.0.0.1", 25)


class Twistd(usage.Options):
    """
    What matters here of the options of twistd.
    """

    optFlags = [["nodaemon", "n", ""]]


class Case(SynchronousTestCase):
    """
    Command lines in an environment without a password.
    """

    def setUp(self):
        self.environment = {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}
        self.patch(os, "environ", self.environment)

    def file(self, content):
        """
        @return: the absolute path of a new file.
        """
        path = os.path.abspath(self.mktemp())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path


class PlanTests(Case):
    """
    What options mean.
    """

    def check(self, line, **expected):
        """
        A command line, all but its destination, makes exactly this plan.
        """
        arguments = [*line.split(), "127.0.0.1"]
        plan = SourcePlan(**{"destination": GOAL, "command": ("smtpsource", *arguments), **expected})
        self.assertEqual(parsed(*arguments).plan, plan)

    def test_defaults(self):
        """
        A destination alone sends one message over one session, and everything else is as the manual page says.
        """
        options = parsed("127.0.0.1")
        self.check("")
        expected = {
            "message-count": None,
            "session-count": 1,
            "dont-disconnect": 0,
            "fixed-interval": None,
            "random-interval": None,
            "start-at": None,
            "duration": None,
            "warmup": None,
            "ramp-up": None,
            "rate": None,
            "arrivals": "constant",
            "stages": None,
            "stages-of": "rate",
            "max-late": None,
            "catch-up": None,
            "find-rate": None,
            "hold-step": 10.0,
            "workers": 1,
            "pin": 0,
            "percentiles": (50.0, 90.0, 95.0, 99.0, 99.9),
            "color": "auto",
            "sender": None,
            "recipient": None,
            "recipient-count": None,
            "number-recipients": 0,
            "recipient-numbering": "prefix",
            "subject": None,
            "length": None,
            "message-file": None,
            "header": (),
            "number-start": None,
            "number-width": None,
            "messages": None,
            "messages-recursive": 0,
            "tls-key-password-file": None,
            "pick": "in-turn",
            "size-distribution": None,
            "recipients-distribution": None,
            "senders": None,
            "recipients": None,
            "domains": None,
            "seed": None,
            "myhostname": socket.gethostname(),
            "lmtp": 0,
            "old-mode": 0,
            "dont-abort": 0,
            "timeout": 300.0,
            "family": socket.AF_UNSPEC,
            "connect-count": 1,
            "connect-parallelism": 100,
            "connect-timeout": 30.0,
            "window-size": None,
            "counter": 0,
            "quiet": 0,
            "report": None,
            "csv": None,
            "hlog": None,
            "html": None,
            "junit": None,
            "checkpoint": None,
            "log-messages": None,
            "log-sample": None,
            "esmtp": 0,
            "pipelining": "off",
            "chunking": "off",
            "chunk-size": None,
            "window": 1,
            "xclient": None,
            "tls": "off",
            "tls-verify": 0,
            "tls-ca": None,
            "tls-server-name": None,
            "tls-min": None,
            "tls-max": None,
            "tls-ciphers": None,
            "tls-cert": None,
            "tls-key": None,
            "tls-resume": 0,
            "auth": None,
            "auth-user": None,
            "auth-password-file": None,
            "auth-users": None,
            "auth-scram-iterations": 1_000_000,
            "8bitmime": 0,
            "smtputf8": 0,
            "size": 0,
            "dsn-notify": None,
            "dsn-ret": None,
            "dsn-envid": None,
            "requiretls": 0,
            "mt-priority": None,
            "deliverby": None,
            "helo": None,
            "messages-per-connection": None,
            "addresses": "first",
            "resolve-again": None,
            "connect-only": 0,
            "noop": 0,
            "hold": None,
            "bind": None,
            "proxy-protocol": None,
            "proxy-source": None,
            "mx": 0,
            "dns-server": None,
            "ledger": None,
            "ledger-sync": 0,
            "deliver-to": None,
            "drain-timeout": 600.0,
            "drain-quiet": None,
            "reactor": None,
            "grace": 5.0,
            "scenario": None,
            "threshold": (),
            "abort-on-threshold": 0,
            "live": "auto",
            "metrics-port": None,
            "dashboard": None,
            "linger": 0,
            "metrics-interface": None,
            "at": (),
            "every": (),
            "watch": (),
            "verbose": 0,
            "destination": "127.0.0.1",
        }
        self.assertEqual(dict(options), expected)
        self.assertEqual(options.presentation, Presentation("smtpsource", live="auto", isWhole=False))
        self.assertEqual((options.plan.timeout, options.plan.grace, options.plan.connectTimeout), (300.0, 5.0, 30.0))

    def test_each(self):
        """
        Each option, by its letter and by its name, sets what it should and nothing else.
        """
        for letter, long, expected in (
            ("-A", "--dont-abort", {"tolerant": True}),
            ("-C 5", "--connect-count 5", {"connectAttempts": 5}),
            ("-d", "--dont-disconnect", {"keepConnections": True}),
            ("-f me@x", "--sender=me@x", {"sender": b"me@x"}),
            ("-l 10k", "--length=10k", {"length": 10240}),
            ("-L", "--lmtp", {"lmtp": True}),
            ("-m 2k", "--message-count=2k", {"messageCount": 2000}),
            ("-M some.name", "--myhostname=some.name", {"myhostname": "some.name"}),
            ("-N", "--number-recipients", {"numberRecipients": True}),
            ("-o", "--old-mode", {"oldMode": True}),
            ("-r 7", "--recipient-count=7", {"recipientCount": 7}),
            ("-R 0.5", "--random-interval=0.5", {"randomInterval": 0.5}),
            ("-s 20", "--session-count=20", {"sessionCount": 20}),
            ("-S hi", "--subject=hi", {"subject": b"hi"}),
            ("-t you@x", "--recipient=you@x", {"recipient": b"you@x"}),
            ("-T 4096", "--window-size=4096", {"windowSize": 4096}),
            ("-v", "--verbose", {"trace": 1}),
            ("-v -v", "--verbose --verbose", {"trace": 2}),
            ("-w 1.5", "--fixed-interval=1.5", {"fixedInterval": 1.5}),
            (None, "--recipient-numbering=suffix", {"recipientNumbering": "suffix"}),
            (None, "--header=X-A:b", {"headers": ("X-A:b",)}),
            (None, "-N --number-start=0", {"numberRecipients": True, "numberStart": 0}),
            (None, "-r 2 --number-width=3", {"recipientCount": 2, "numberWidth": 3}),
            (None, "--size-distribution=fixed:4k", {"sizeDistribution": "fixed:4096"}),
            (None, "--recipients-distribution=uniform:1-2k", {"recipientsDistribution": "uniform:1-2000"}),
            (None, "--domains=a.test:9,b.test", {"domains": [("a.test", 9), "b.test"]}),
            (None, "--seed=2147483647", {"seed": 2147483647}),
            (None, "--timeout=0.25", {"timeout": 0.25}),
            (None, "--connect-timeout=3", {"connectTimeout": 3.0}),
            (None, "--connect-parallelism=1k", {"connectParallelism": 1000}),
            (None, "--grace=0", {"grace": 0.0}),
            (None, "--helo=x,y", {"helo": b"x,y"}),
            (None, "--esmtp", {"esmtp": True}),
            (None, "--pipelining=auto", {"pipelining": "auto"}),
            (None, "--pipelining=force", {"pipelining": "force"}),
            (None, "--chunking=require", {"chunking": "require"}),
            (None, "--chunking=auto --chunk-size=10k", {"chunking": "auto", "chunkSize": 10240}),
            (None, "--window=1", {}),
            (None, "--xclient=name=a.b,addr=::1", {"xclient": (("NAME", "a.b"), ("ADDR", "IPV6:::1"))}),
            (None, "--messages-per-connection=2k", {"messagesPerConnection": 2000}),
            (None, "--connect-only", {"exercise": "connect"}),
            (None, "--noop", {"exercise": "noop"}),
            (None, "--hold=0.5", {"hold": 0.5}),
            (None, "--bind=127.0.0.2,::1", {"bind": ("127.0.0.2", "::1")}),
            (None, "--bind=127.0.0.4/30,::1", {"bind": ("127.0.0.5", "127.0.0.6", "::1")}),
            (None, "--proxy-protocol=v1", {"proxyProtocol": "v1"}),
            (
                None,
                "--proxy-protocol=v2 --proxy-source=192.0.2.1,2001:DB8::1",
                {"proxyProtocol": "v2", "proxySources": ("192.0.2.1", "2001:db8::1")},
            ),
        ):
            for line in (letter, long):
                if line is not None:
                    self.check(line, **expected)

    def test_load(self):
        """
        How much, how fast and for how long.
        """
        stages = ((0.0, 0.0), (30.0, 1000.0), (60.0, 0.0))
        for line, expected in (
            ("--duration=1m30s", {"duration": 90.0}),
            ("--duration=5 --warmup=2s --ramp-up=250ms", {"duration": 5.0, "warmUp": 2.0, "rampUp": 0.25}),
            ("--rate=30/m -m 5", {"rate": 0.5, "messageCount": 5}),
            (
                "--rate=1k/s --duration=1m --arrivals=poisson --max-late=0.5 --catch-up=2m",
                {"rate": 1000.0, "duration": 60.0, "arrivals": "poisson", "maxLate": 0.5, "catchUp": 120.0},
            ),
            ("--stages=0:0,30s:1000/s,1m:0", {"stages": stages}),
            ("--stages=0:0,30:1k,60:0 --stages-of=sessions", {"stages": stages, "stagesOf": "sessions"}),
            ("--find-rate=errors<1%", {"findRate": "errors<1%"}),
            (
                "--find-rate=errors==0 --rate=50 --hold-step=2m",
                {"findRate": "errors==0", "rate": 50.0, "holdStep": 120.0},
            ),
        ):
            self.check(line, **expected)

    def test_workers(self):
        """
        The processes that carry the load.
        """
        for line, expected in (
            ("", {"workers": 1, "pin": False}),
            ("--workers=2", {"workers": 2}),
            ("--workers=auto --pin", {"workers": "auto", "pin": True}),
        ):
            self.check(line, **expected)

    def test_thresholds(self):
        """
        Thresholds, as many as there are, in their order; one that fails can end the run.
        """
        one, other, rate = "errors==0", "p99(message)<250ms", "rate>=0.99*asked"
        self.check(f"--threshold={one}", thresholds=(one,))
        self.check(f"--threshold {other} --threshold={one} --threshold {other}", thresholds=(other, one, other))
        self.check(f"--abort-on-threshold --threshold={one}", thresholds=(one,), abortOnThreshold=True)
        self.check(f"--threshold={rate} --rate=5 --duration=1m", thresholds=(rate,), rate=5.0, duration=60.0)
        self.assertEqual(parsed("--threshold", "errors < 0.1%", "sink:").plan.thresholds[0].text, "errors < 0.1%")
        self.assertEqual(parsed("sink:")["threshold"], ())

    def test_trafficFromFiles(self):
        """
        What comes from files is read when the command line is.
        """
        corpus = self.mktemp()
        os.makedirs(corpus)
        with open(os.path.join(corpus, "a.eml"), "wb") as file:
            file.write(b"A: b\n")
        listed, weighted = self.file(b"a@x\nb@y\n"), self.file(b"a@x 2\n<> 1\n")
        self.check(f"--messages {corpus} --pick random", messages=os.path.abspath(corpus), pick="random")
        for words, expected in (
            (f"--messages {corpus} --messages-recursive", {"messages": corpus, "messagesRecursive": True}),
            (f"--messages {corpus}/*.e?l", {"messages": f"{os.path.abspath(corpus)}/*.e?l"}),
        ):
            self.check(words, **expected)
            report = os.path.join(corpus, os.listdir(corpus)[0])
            e = self.assertRaises(usage.UsageError, parsed, *words.split(), "--report", report, "sink:")
            self.assertIn("is not usable: it belongs to --messages; expected another file", str(e))
        self.check(f"--senders {weighted}", senders=[("a@x", 2), ("", 1)])
        self.check(f"--recipients {listed} -r 2", recipients=["a@x", "b@y"], recipientCount=2)
        sizes = self.file(b"100 9\n1k\n")
        plan = parsed("--size-distribution", f"empirical:{sizes}", "127.0.0.1").plan
        self.assertEqual(plan.sizeDistribution.numbers.values, (100, 1024))

    def test_ledger(self):
        """
        The directory is absolute; where to deliver to is an address of this machine.
        """
        directory = self.mktemp()
        self.check(f"--ledger {directory} --ledger-sync", ledger=os.path.abspath(directory), ledgerSync=True)
        for text, expected in (
            ("2525", ("127.0.0.1", 2525)),
            ("0.0.0.0:25", ("0.0.0.0", 25)),
            ("[::1]:25", ("::1", 25)),
        ):
            more = {"deliverTo": text, "drainTimeout": 60.0, "drainQuiet": 5.0}
            line = f"--ledger {directory} --deliver-to {text} --drain-timeout 1m --drain-quiet 5s"
            self.check(line, ledger=directory, **more)
            self.assertEqual(parsed(*line.split(), "sink:").plan.deliverTo, expected)
        plan = parsed("--ledger", directory, "--deliver-to", "0", "sink:").plan
        self.assertEqual(plan.deliverTo, ("127.0.0.1", 0))
        self.assertEqual(SourcePlan(destination="x", ledger=directory, deliverTo=2526).deliverTo, ("127.0.0.1", 2526))
        for wrong in (True, 70000, 2526.5):
            with self.assertRaisesRegex(ValueError, r"^deliverTo: .* is not usable: expected [^N]*(, or None)?$"):
                SourcePlan(destination="x", ledger=directory, deliverTo=wrong)

    def test_headers(self):
        """
        Headers may be given several times, and go out as they were typed.
        """
        plan = parsed("--header", "X-A: {n} gr\u00fcn", "--header", "X-B:\udcff", "127.0.0.1").plan
        self.assertEqual(plan.headers, ("X-A: {n} gr\u00fcn".encode(), b"X-B:\xff"))

    def test_window(self):
        """
        A window, with what it needs.
        """
        for mode in ("auto", "require", "force"):
            self.check(
                f"-d --pipelining {mode} --chunking {mode} --window 1k",
                keepConnections=True,
                pipelining=mode,
                chunking=mode,
                window=1000,
            )

    def test_parameters(self):
        """
        Each parameter of MAIL and RCPT, and all of them.
        """
        table = (
            ("--8bitmime", {"eightBitMIME": True}),
            ("--smtputf8", {"smtpUTF8": True}),
            ("--size", {"size": True}),
            ("--dsn-notify=never", {"notify": "NEVER"}),
            ("--dsn-notify=delay,FAILURE", {"notify": "DELAY,FAILURE"}),
            ("--dsn-ret=hdrs", {"ret": "HDRS"}),
            ("--dsn-envid=a+b", {"envid": "a+b"}),
            ("--requiretls", {"requireTLS": True}),
            ("--mt-priority=0", {"mtPriority": 0}),
            ("--mt-priority -9", {"mtPriority": -9}),
            ("--deliverby=120", {"deliverBy": "120;N"}),
            ("--deliverby -30;nt", {"deliverBy": "-30;NT"}),
        )
        for line, expected in table:
            self.check(line, parameters=Parameters(**expected))
        together = {name: value for _, values in table for name, value in values.items()}
        self.check(" ".join(line for line, _ in table), parameters=Parameters(**together))
        self.assertEqual(parsed("--dsn-envid", "a b", "127.0.0.1").plan.parameters.envid, "a b")

    def test_tls(self):
        """
        Each option of TLS. Whether there can be such TLS is tested by those who make it.
        """
        asked = []
        self.patch(SourceOptions, "tryTLS", lambda options: asked.append(options.plan))
        path = self.file(b"-----BEGIN PRIVATE KEY-----")
        for mode in ("starttls", "implicit"):
            self.check(f"--tls={mode}", tls=mode)
        for line, expected in (
            ("--tls-verify", {"verify": True}),
            (f"--tls-verify --tls-ca {path}", {"verify": True, "ca": path}),
            (f"--tls-verify --tls-ca={os.path.relpath(path)}", {"verify": True, "ca": path}),
            ("--tls-server-name=mx.example", {"serverName": "mx.example"}),
            ("--tls-server-name=mx.example.", {"serverName": "mx.example"}),
            ("--tls-server-name=2001:DB8::1", {"serverName": "2001:db8::1"}),
            ("--tls-min=1.0 --tls-max=1.3", {"minimum": "1.0", "maximum": "1.3"}),
            ("--tls-ciphers=HIGH:!aNULL", {"ciphers": "HIGH:!aNULL"}),
            (f"--tls-cert={path}", {"certificate": path}),
            (
                f"--tls-cert={path} --tls-key={os.path.relpath(path)}",
                {"certificate": path, "key": path},
            ),
            ("--tls-resume", {"resume": True}),
        ):
            self.check(f"--tls starttls {line}", tls="starttls", tlsSettings=TLSSettings(**expected))
        self.assertEqual(len(asked), 13)

    def test_logins(self):
        """
        The password comes from a file or from the environment, the file first; many users from a file of theirs.
        """
        password = self.file(b"from file\r\nmore\n")
        users = self.file(b"# users\nme:se:cret\nyou:other\n")
        for line, variable, mechanisms, logins in (
            (f"--auth-password-file {password}", None, ("PLAIN",), [("me", "from file")]),
            (f"--auth-password-file {password}", "not this", ("PLAIN",), [("me", "from file")]),
            ("", "from environment", ("XOAUTH2", "LOGIN"), [("me", "from environment")]),
        ):
            self.environment.pop(PASSWORD_VARIABLE, None)
            if variable is not None:
                self.environment[PASSWORD_VARIABLE] = variable
            self.check(
                f"--auth={','.join(mechanisms).lower()} --auth-user=me {line}",
                mechanisms=mechanisms,
                logins=[Credentials(*login) for login in logins],
            )
        self.check(
            f"--auth SCRAM-SHA-256 --auth-users {users}",
            mechanisms=("SCRAM-SHA-256",),
            logins=[Credentials("me", "se:cret"), Credentials("you", "other")],
        )
        self.check(
            f"--auth SCRAM-SHA-256,PLAIN --auth-users {users} --auth-scram-iterations 20m",
            mechanisms=("SCRAM-SHA-256", "PLAIN"),
            logins=[Credentials("me", "se:cret"), Credentials("you", "other")],
            scramIterations=20_000_000,
        )
        self.environment[PASSWORD_VARIABLE] = "nobody wants it"
        self.check("")

    def test_noPassword(self):
        """
        What is shown of a plan, such as in a log, has no password; nor has its command line.
        """
        users = self.file(b"me:secret\nyou:secret\n")
        self.environment[PASSWORD_VARIABLE] = "secret"
        for line in (["--auth-users", users], ["--auth-user", "me"]):
            plan = parsed("--auth", "PLAIN", *line, "127.0.0.1").plan
            self.assertEqual({login.password for login in plan.logins}, {"secret"})
            self.assertNotIn("secret", repr(plan))
            self.assertNotIn("secret", " ".join(plan.command))

    def test_mx(self):
        """
        The mail exchangers of a domain, and whom to ask for them.
        """
        plan = parsed("--mx", "example.com:2525").plan
        self.assertEqual(
            (plan.mx, plan.dnsServer, plan.destination), (True, None, HostDestination("example.com", 2525))
        )
        plan = parsed("--mx", "--dns-server=[::1]:5353", "-4", "example.com").plan
        self.assertEqual((plan.dnsServer, plan.destination.family), (("::1", 5353), socket.AF_INET))

    def test_oldMode(self):
        """
        What -o does not exclude.
        """
        self.patch(SourceOptions, "tryTLS", lambda options: None)
        self.check(
            "-o --pipelining force --chunking force --tls implicit",
            oldMode=True,
            pipelining="force",
            chunking="force",
            tls="implicit",
        )
        self.check("-o --connect-only", oldMode=True, exercise="connect")

    def test_together(self):
        """
        Letters may be run together, with values attached, as scripts have them.
        """
        self.check(
            "-Adc -s20 -m10000 -l512",
            tolerant=True,
            keepConnections=True,
            sessionCount=20,
            messageCount=10000,
            length=512,
        )

    def test_families(self):
        """
        The last of -4 and -6 wins.
        """
        for line, family in (("-4", socket.AF_INET), ("-6", socket.AF_INET6), ("-4 -6", socket.AF_INET6)):
            plan = parsed(*line.split(), "localhost").plan
            self.assertEqual((plan.family, plan.destination), (family, HostDestination("localhost", 25, family)))
        plan = parsed("--ipv6", "--ipv4", "localhost").plan
        self.assertEqual(plan.destination.family, socket.AF_INET)

    def test_destinations(self):
        """
        Each kind of destination.
        """
        for text, expected in (
            ("localhost:2525", HostDestination("localhost", 2525)),
            ("inet:[::1]:24", HostDestination("::1", 24)),
            ("unix:/a/b", UNIXDestination("/a/b")),
            ("sink:", SinkDestination()),
        ):
            self.assertEqual(parsed(text).plan.destination, expected)

    def test_schemes(self):
        """
        A destination with a scheme is as one with the options that say the same.
        """
        self.patch(SourceOptions, "tryTLS", lambda options: None)
        for words, expected in (
            (["smtp://localhost:2525"], {}),
            (["smtp://localhost:2525", "--tls", "starttls"], {"tls": "starttls"}),
            (["smtps://localhost:2525"], {"tls": "implicit"}),
            (["smtps://localhost:2525/", "--tls-verify"], {"tls": "implicit", "tlsSettings": TLSSettings(verify=True)}),
            (["smtps://localhost:2525", "--tls", "implicit"], {"tls": "implicit"}),
            (["lmtp://localhost:2525"], {"lmtp": True}),
            (["lmtp:localhost:2525", "-L"], {"lmtp": True}),
        ):
            line = [*words[1:], words[0]]
            goal = HostDestination("localhost", 2525)
            plan = SourcePlan(destination=goal, command=("smtpsource", *line), **expected)
            self.assertEqual(parsed(*line).plan, plan)
            expected.pop("tls", None)
            expected.pop("lmtp", None)
            more = {"tls": "starttls"} if "starttls" in line else {}
            self.assertEqual(SourcePlan(destination=words[0], command=plan.command, **expected, **more), plan)

    def test_messageFile(self):
        """
        -F reads the file now; a daemon that changes its directory later has it.
        """
        path = self.mktemp()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"Subject: \xff\n\nhi\n")
        self.assertEqual(parsed("-F", path, "127.0.0.1").plan.message, b"Subject: \xff\n\nhi\n")

    def test_relativePaths(self):
        """
        Relative paths are those of the directory in which the command was given.
        """
        self.assertEqual(parsed("--report", "x.json", "127.0.0.1").presentation.report, os.path.abspath("x.json"))
        self.assertEqual(parsed("unix:sock").plan.destination.path, os.path.abspath("sock"))

    def test_presentation(self):
        """
        What is shown, and where.
        """
        for line, expected in (
            ("-c", {"counter": True, "live": "off"}),
            ("--counter", {"counter": True, "live": "off"}),
            ("--quiet", {"quiet": True, "live": "off"}),
            ("-v", {"live": "off", "isWhole": True}),
            ("--live off", {"live": "off"}),
            ("--quiet --live on", {"quiet": True, "live": "on"}),
            ("--report -", {"report": "-", "live": "auto"}),
            ("--checkpoint /tmp/x", {"checkpoint": "/tmp/x", "live": "auto"}),
            ("--csv - --hlog /x --junit /y", {"csv": "-", "hlog": "/x", "junit": "/y", "live": "auto"}),
            ("--html -", {"html": "-", "live": "auto"}),
            ("--metrics-port 9100", {"metrics": ("127.0.0.1", 9100), "live": "auto"}),
            ("--metrics-port 0 --metrics-interface ::", {"metrics": ("::", 0), "live": "auto"}),
            ("--every 2m b --at 1 a", {"errands": (Errand(1.0, "a"), Errand(120.0, "b", True)), "live": "auto"}),
            ("--dashboard 8089", {"dashboard": Where("127.0.0.1", 8089), "live": "auto"}),
            ("--dashboard [::]:0 --linger", {"dashboard": Where("::", 0), "lingers": True, "live": "auto"}),
        ):
            wanted = Presentation("smtpsource", **{"isWhole": False, **expected})
            self.assertEqual(parsed(*line.split(), "127.0.0.1").presentation, wanted)

    def test_liveUnderTwistd(self):
        """
        Under twistd the log may be on the terminal: how the run goes on is shown if that is asked for.
        """
        foreground = Twistd()
        foreground.parseOptions(["-n"])
        self.assertEqual(parsed("127.0.0.1", parent=foreground).presentation.live, "off")
        self.assertEqual(parsed("--live", "on", "127.0.0.1", parent=foreground).presentation.live, "on")

    def test_daemon(self):
        """
        Under twistd without -n all goes to the log, and there is no standard output to report to.
        """
        daemon, foreground = Twistd(), Twistd()
        daemon.parseOptions([])
        foreground.parseOptions(["-n"])
        self.assertTrue(parsed("127.0.0.1", parent=daemon).presentation.daemonized)
        self.assertFalse(parsed("127.0.0.1", parent=foreground).presentation.daemonized)
        for option in ("report", "csv", "hlog", "html", "junit", "log-messages"):
            e = self.assertRaises(usage.UsageError, parsed, f"--{option}", "-", "127.0.0.1", parent=foreground)
            expected = "'-' is not usable, the log is on standard output: expected a file, or --logfile=FILE before "
            self.assertEqual(str(e), f"--{option}: {expected}smtp-source")
        e = self.assertRaises(usage.UsageError, parsed, "--report", "-", "127.0.0.1", parent=daemon)
        self.assertEqual(str(e), "--report: '-' is not usable by a daemon, it has no standard output: expected a file")
        e = self.assertRaises(usage.UsageError, parsed, "--csv", "-", "127.0.0.1", parent=daemon)
        self.assertEqual(str(e), "--csv: '-' is not usable by a daemon, it has no standard output: expected a file")

    def test_samePlace(self):
        """
        Each of the files that are written has a place of its own.
        """
        for line, problem in (
            ("--report - --junit -", "--report and --junit exclude each other: both are to be in standard output"),
            ("--hlog /tmp/x --csv /tmp/x", "--csv and --hlog exclude each other: both are to be in /tmp/x"),
        ):
            e = self.assertRaises(usage.UsageError, parsed, *line.split(), "127.0.0.1")
            self.assertEqual(str(e), problem)

    def test_bytes(self):
        """
        Addresses and subjects that are not ASCII go out as they were typed.
        """
        self.assertEqual(parsed("-S", "gr\u00fc\u00df", "127.0.0.1").plan.subject, "gr\u00fc\u00df".encode())
        self.assertEqual(parsed("-f", "a\udcff", "127.0.0.1").plan.sender, b"a\xff")
        self.assertEqual(parsed("-f", "", "127.0.0.1").plan.sender, b"")
        self.assertEqual(parsed("--helo", "a b \udcff", "127.0.0.1").plan.helo, b"a b \xff")

    def test_tap(self):
        """
        twistd uses the same options.
        """
        self.assertIs(Options, SourceOptions)


class ErrorTests(Case):
    """
    Command lines that can't be used: one line says what, and what would be right.
    """

    def check(self, arguments, *words):
        """
        This can't be used, and the error begins with the first and contains each other of these words.
        """
        error = str(self.assertRaises(usage.UsageError, parsed, *arguments))
        self.assertNotIn("\n", error)
        self.assertTrue(error.startswith(words[0]), error)
        for word in words[1:]:
            self.assertIn(word, error)

    def test_values(self):
        """
        Every value that can be wrong names its option, itself and what was expected.
        """
        secret = {o.long for _, group in SourceOptions.groups for o in group if isinstance(o, ValueOption) and o.secret}
        for letter, long, values, expected in (
            ("m", "message-count", ("0", "-1", "", "x", "1.5", "1g", "99999m"), "expected"),
            ("s", "session-count", ("0", "-3", "many"), "a whole number of at least 1"),
            ("r", "recipient-count", ("0", "two"), "a whole number of at least 1"),
            ("C", "connect-count", ("0", "-1"), "a whole number of at least 1"),
            (None, "connect-parallelism", ("0", "x"), "a whole number of at least 1"),
            ("l", "length", ("0", "-1", "1kb"), "a size in bytes of at least 1"),
            ("T", "window-size", ("0", "big"), "a size in bytes of at least 1"),
            ("w", "fixed-interval", ("0", "-1", "nan", "inf", "1x", ""), "expected a time "),
            ("R", "random-interval", ("0", "-0.5", "x"), "expected a time "),
            (None, "timeout", ("0", "never"), "expected a time "),
            (None, "connect-timeout", ("0", "-1"), "expected a time "),
            (None, "grace", ("-1", "x"), "expected a time "),
            *(
                (None, option, ("0", "-1", "", "1x", "1h30"), "expected a time ")
                for option in ("duration", "warmup", "ramp-up", "max-late", "catch-up", "hold-step")
            ),
            (None, "rate", ("0", "-1", "", "fast", "5/d"), "expected a rate "),
            (
                None,
                "start-at",
                ("", "12:00", "2030-01-31T12:00:00", "1896091200", "@x"),
                "expected a time with its zone",
            ),
            (None, "start-at", ("2020-01-31T12:00Z", "@0"), "expected a time to come: this was "),
            (None, "start-at", ("@1896091200000", "9999-01-01T00:00+01:00"), "expected a time within a year"),
            (None, "arrivals", ("", "random"), "expected constant or poisson"),
            (None, "stages", ("", "5", "0:0", "1:1,1:1", "0:x,1:1"), "expected "),
            (None, "stages-of", ("", "messages"), "expected rate or sessions"),
            (None, "workers", ("", "0", "-1", "1.5", "1025", "all"), "expected a whole number from 1 to 1024, or auto"),
            (None, "find-rate", ("", "errors", "p99(x) < 1s"), "expected "),
            (None, "ledger", ("/proc/x", "/dev/null", "/dev/null/x"), "expected a directory"),
            (
                None,
                "deliver-to",
                ("", "x", "x:25", "65536", "1.2.3.4:", "::1:25"),
                "expected [HOST:]PORT",
            ),
            (None, "drain-timeout", ("0", "-1", "x"), "expected a time "),
            (None, "drain-quiet", ("0", "-1", "x"), "expected a time "),
            ("M", "myhostname", ("", "a b", "a..b", "-x", "1.2.3.4", "[1.2.3]", "x" * 64), "expected a"),
            ("F", "message-file", ("/no/such/file", "/"), "expected a readable file"),
            (None, "recipient-numbering", ("middle", ""), "expected prefix or suffix"),
            (None, "report", ("/no/such/directory/x", "/", ""), "expected"),
            (None, "csv", ("/no/such/directory/x", "/", ""), "expected"),
            (None, "hlog", ("/no/such/directory/x", "/", ""), "expected"),
            (None, "junit", ("/no/such/directory/x", "/", ""), "expected"),
            (None, "checkpoint", ("/dev/null", "/dev/null/x", "/proc/x"), "expected a directory"),
            ("f", "sender", ("a\nb", "a\rb"), "expected a text without line ends"),
            ("t", "recipient", ("a\r\nDATA",), "expected a text without line ends"),
            ("S", "subject", ("a\nBcc: b",), "expected a text without line ends"),
            (None, "header", ("", "X-A", "X A: b", ": x"), "expected a name of printable ASCII characters"),
            (None, "header", ("X: a\r\nBcc: b", "X: \0"), "expected a text without line ends"),
            (None, "header", ("X: {b}", "X: {"), "expected {run}, {n}, {session}, {size}, {date} or {random:8}"),
            (None, "number-start", ("-1", "", "1k", "2147483648"), "expected a whole number from 0 to 2147483647"),
            (None, "number-width", ("0", "65", "x"), "expected a whole number from 1 to 64"),
            (None, "messages", ("", "/no/such/path", "/dev/null"), "expected a directory of .eml files, a Maildir"),
            (None, "pick", ("", "turn", "RANDOM"), "expected in-turn, random or weighted"),
            (None, "size-distribution", ("", "4k", "normal:1"), "expected fixed:4k, uniform:1k-100k, "),
            (None, "size-distribution", ("fixed:0", "uniform:0-1"), "expected a size in bytes of at least 1"),
            (None, "recipients-distribution", ("fixed:0", "uniform:1-x"), "expected a whole number of at least 1"),
            (None, "recipients-distribution", ("empirical:/no/such/file",), "expected a readable file: No such file"),
            (None, "senders", ("/no/such/file", "/"), "expected a readable file"),
            (None, "recipients", ("/dev/null",), "expected at least one line that is neither empty nor a comment"),
            (None, "domains", ("", "a..b", "a.test:x", "a.test:1,"), "expected a "),
            (None, "seed", ("-1", "x", "", "1.5", "2147483648"), "expected a whole number from 0 to 2147483647"),
            (None, "helo", ("a\r\nRSET", "a\0"), "expected a text without line ends"),
            (None, "helo", ("",), "expected a text, not an empty one"),
            (None, "pipelining", ("", "on", "AUTO", "yes"), "expected off, auto"),
            (None, "chunking", ("", "on", "off,auto"), "expected off, auto"),
            (None, "chunk-size", ("0", "-1", "1kb", ""), "a size in bytes of at least 1"),
            (None, "window", ("0", "-1", "all"), "a whole number of at least 1"),
            (None, "xclient", ("", "FOO=1", "NAME", "NAME=a,NAME=b", "PORT=0", "ADDR=a"), "expected "),
            (None, "tls", ("", "on", "STARTTLS"), "expected off, starttls or implicit"),
            (None, "tls-ca", ("/no/such/file", ""), "expected a readable file"),
            (None, "tls-cert", ("/no/such/file",), "expected a readable file"),
            (None, "tls-key", ("/no/such/file",), "expected a readable file"),
            (None, "tls-key-password-file", ("/no/such/file", "/"), "expected a readable file"),
            (None, "tls-server-name", ("", "a b", "a..b", "127.1"), "expected a host name"),
            (None, "tls-min", ("", "1", "1.4", "TLSv1.2"), "expected 1.0, 1.1, 1.2 or 1.3"),
            (None, "tls-max", ("2", "SSLv3"), "expected 1.0, 1.1, 1.2 or 1.3"),
            (None, "auth", ("", "GSSAPI", "PLAIN,", "PLAIN LOGIN"), "expected some of PLAIN,LOGIN,"),
            (None, "auth-user", ("",), "expected a user"),
            (None, "auth-user", ("a\nb", "a\0"), "expected a text without line ends"),
            (None, "auth-password-file", ("/no/such/file", "/"), "expected a readable file"),
            (None, "auth-users", ("/no/such/file", "/"), "expected a readable file"),
            (None, "dsn-notify", ("", "ALWAYS", "NEVER,DELAY", "DELAY,DELAY"), "expected NEVER, or some of"),
            (None, "dsn-ret", ("", "BODY", "FULL,HDRS"), "expected FULL or HDRS"),
            (None, "dsn-envid", ("", "a\r\nb", "\u00fc", "x" * 101), "expected 1 to 100 printable ASCII characters"),
            (None, "mt-priority", ("", "10", "-10", "high"), "expected a priority from -9 to 9"),
            (None, "deliverby", ("", "0;R", "1;X", "1.5"), "expected whole seconds, such as 120, 2h"),
            (None, "messages-per-connection", ("0", "x"), "a whole number of at least 1"),
            (None, "hold", ("0", "-1", "long"), "expected a time "),
            (None, "bind", ("", "localhost", "127.0.0.1,", "[::1]", "127.0.0.1:25"), "expected IP addresses such as"),
            (None, "proxy-protocol", ("", "v3", "1"), "expected v1 or v2"),
            (None, "proxy-source", ("", "a.b", "::1,"), "expected IP addresses such as"),
            (None, "dns-server", ("", "dns.example", "::1:x", "127.0.0.1:0"), "expected the address of a name server"),
            (None, "live", ("", "yes", "ON"), "expected auto, on or off"),
            (None, "dashboard", ("", "x", ":8089", "1.2.3.4:", "::1:80", "a b:1", "h:65536"), "expected"),
            (None, "metrics-port", ("", "-1", "65536", "9k", "http"), "expected a port from 1 to 65535, or 0"),
            (None, "metrics-interface", ("", "localhost", "::1,::", "[::1]"), "expected an address of this machine"),
        ):
            for value in values:
                repeated = repr(value) if long not in secret or os.path.exists(value) else "what was given"
                shown = (
                    f"-{letter} (--{long}): {repeated} is not usable: "
                    if letter
                    else f"--{long}: {repeated} is not usable: "
                )
                self.check([f"--{long}={value}", "127.0.0.1"], shown, expected)
                if letter:
                    self.check([f"-{letter}", value, "127.0.0.1"], shown, expected)

    def test_times(self):
        """
        All options that take a time take the same ones, in seconds where there is no unit.
        """
        times = [
            (options, option)
            for options in (SourceOptions, SinkOptions, CalibrateOptions)
            for _, group in options.groups
            for option in group
            if isinstance(option, ValueOption) and option.meta == "TIME" and option.long != "deliverby"
        ]
        self.assertGreaterEqual(len(times), 14)
        for _, option in times:
            for text, seconds in (("0.5", 0.5), ("500ms", 0.5), ("30", 30.0), ("30s", 30.0), ("1h", 3600.0)):
                self.assertEqual(option.convert(text), seconds, option.long)
            self.assertEqual(option.convert("1m30s"), 90.0)
            expected = r"^expected a time such as 30s, 500ms or 1h30m \(a number alone is seconds\)$"
            self.assertRaisesRegex(ValueError, expected, option.convert, "1 min")
        self.assertEqual(parsed("-w", "500ms", "--timeout", "1m", "sink:").plan.timeout, 60.0)
        self.assertEqual(parsed("-w", "500ms", "--timeout", "1m", "sink:").plan.fixedInterval, 0.5)
        self.assertEqual(sinkParsed("-t", "2m", ":0").plan.idleTimeout, 120.0)

    def test_emptyFile(self):
        """
        An empty file is no message.
        """
        path = self.mktemp()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
        self.check(["-F", path, "127.0.0.1"], "-F (--message-file): ", "this file is empty")

    def test_contradictions(self):
        """
        Options that exclude each other, in any order.
        """
        for one, other, expected in (
            (["-l", "10k"], ["-F", "x"], "-l (--length) '10k' and -F (--message-file) 'x'"),
            (["--length=5"], ["--message-file="], "-l (--length) '5' and -F (--message-file) ''"),
            (["-w", "1.0"], ["-R", "x"], "-w (--fixed-interval) '1.0' and -R (--random-interval) 'x'"),
            (["-l", "1"], ["--messages", "x"], "-l (--length) '1' and --messages 'x'"),
            (["-F", "x"], ["--size-distribution", "y"], "-F (--message-file) 'x' and --size-distribution 'y'"),
            (
                ["-r", "1"],
                ["--recipients-distribution", "x"],
                "-r (--recipient-count) '1' and --recipients-distribution 'x'",
            ),
            (["-f", "a@b"], ["--senders", "x"], "-f (--sender) 'a@b' and --senders 'x'"),
            (["-t", "a@b"], ["--recipients", "x"], "-t (--recipient) 'a@b' and --recipients 'x'"),
            (["-S", "s"], ["--messages", "x"], "-S (--subject) 's' and --messages 'x'"),
        ):
            for line in ([*one, *other], [*other, *one]):
                self.check([*line, "127.0.0.1"], f"{expected} exclude each other: give one of them")

    def test_together(self):
        """
        Options that exclude others, and those that make no sense without others, in any order.
        """
        old, readable = "-o (--old-mode)", self.file(b"me:secret\n")
        noEHLO = "exclude each other: it says no EHLO"
        for line, *words in (
            *(
                (f"-o --{option} {mode}", f"{old} and --{option} '{mode}' {noEHLO}")
                for option in ("pipelining", "chunking")
                for mode in ("auto", "require")
            ),
            ("-o --tls starttls", f"{old} and --tls 'starttls' {noEHLO}"),
            *(
                (f"-o {option}", f"{option.partition('=')[0]} and {old} {noEHLO}")
                for option in (
                    *("--esmtp", "--auth=PLAIN", "--xclient=NAME=a", "--8bitmime", "--smtputf8", "--size"),
                    *("--dsn-notify=NEVER", "--dsn-ret=FULL", "--dsn-envid=a", "--requiretls", "--mt-priority=1"),
                    *("--deliverby=1",),
                )
            ),
            ("-o --helo a", f"--helo and {old} exclude each other: it says no HELO"),
            ("-L --esmtp", "--esmtp and -L (--lmtp) exclude each other: LHLO asks for extensions, too"),
            ("--chunk-size 5", "--chunk-size needs --chunking"),
            *(
                (f"--window 2 {option}", f"--window needs {missing}")
                for option, missing in (
                    ("--esmtp", "--pipelining"),
                    ("--pipelining auto", "--chunking"),
                    ("--chunking force", "--pipelining"),
                    ("-d", "--pipelining"),
                )
            ),
            *(
                (
                    f"--window 2 --pipelining auto --chunking auto {option}",
                    "--window needs -d (--dont-disconnect), or --messages-per-connection of more than 1",
                )
                for option in ("--esmtp", "--messages-per-connection 1", "-d --messages-per-connection 1")
            ),
            *(
                (
                    f"--window 2 --pipelining auto --chunking auto -d {option} 1",
                    f"{shown} and --window exclude each other: with pauses nothing is sent ahead",
                )
                for option, shown in (("-w", "--fixed-interval"), ("-R", "--random-interval"))
            ),
            *(
                (option, f"{option.split()[0]} needs --tls starttls or implicit")
                for option in (
                    *("--tls-verify", f"--tls-ca {readable}", "--tls-server-name a", "--tls-min 1.2", "--tls-max 1.2"),
                    *("--tls-ciphers HIGH", f"--tls-cert {readable}", f"--tls-key {readable}", "--tls-resume"),
                )
            ),
            (f"--tls starttls --tls-ca {readable}", "--tls-ca needs --tls-verify"),
            (f"--tls starttls --tls-key {readable}", "--tls-key needs --tls-cert"),
            (
                f"--tls starttls --tls-cert {readable}",
                f"--tls-cert: {readable!r} is not usable: there is no key in it: expected --tls-key FILE",
            ),
            (
                "--tls starttls --tls-min 1.3 --tls-max 1.2",
                "--tls-min and --tls-max exclude each other: expected a minimum of at most 1.2, not 1.3",
            ),
            ("--pick random", "--pick needs --messages"),
            ("--messages-recursive", "--messages-recursive needs --messages"),
            ("-o --header A:b", "--header and -o (--old-mode) exclude each other: "),
            ("-S x --header subject:y", "-S (--subject) and --header 'Subject:' exclude each other: "),
            *(
                (f"{line} --{option} 3", f"--{option} needs -N (--number-recipients), or -r without --recipients")
                for option in ("number-start", "number-width")
                for line in ("-d", f"-r 2 --recipients {readable}")
            ),
            ("--proxy-source ::1", "--proxy-source needs --proxy-protocol"),
            ("--dns-server ::1", "--dns-server needs --mx"),
            ("--ledger-sync", "--ledger-sync needs --ledger"),
            ("--deliver-to 25", "--deliver-to needs --ledger"),
            (
                "--ledger x --deliver-to 0",
                "--deliver-to: port 0 is not usable: expected the port that the server delivers to",
            ),
            ("--ledger x --drain-timeout 1s", "--drain-timeout needs --deliver-to"),
            ("--ledger x --drain-quiet 1s", "--drain-quiet needs --deliver-to"),
            (
                "--ledger x --header X-SMTPsource-ID:5",
                "--ledger and --header 'X-Smtpsource-Id:' exclude each other: that header is the ledger's",
            ),
            ("--connect-only --noop", "--connect-only and --noop exclude each other: "),
            ("--metrics-interface ::1", "--metrics-interface needs --metrics-port"),
            ("--linger", "--linger needs --dashboard"),
            ("--live on -c", "--live 'on' and -c (--counter) exclude each other: "),
            ("--live on -v", "--live 'on' and -v exclude each other: "),
            *(
                (option, f"{option.split()[0]} needs --auth")
                for option in ("--auth-user me", f"--auth-password-file {readable}", f"--auth-users {readable}")
            ),
            *(
                (f"{login} --auth-scram-iterations 5000", "--auth-scram-iterations needs --auth SCRAM-SHA-256")
                for login in ("", f"--auth PLAIN --auth-users {readable}")
            ),
            ("--auth PLAIN", "--auth needs a user: expected --auth-user USER, or --auth-users FILE"),
            (f"--auth PLAIN --auth-password-file {readable}", "--auth needs a user: "),
            (
                "--auth PLAIN --auth-user me",
                "--auth-user needs a password: ",
                "--auth-password-file",
                PASSWORD_VARIABLE,
            ),
            (
                f"--auth PLAIN --auth-users {readable} --auth-user me",
                "--auth-user and --auth-users exclude each other: ",
            ),
            (
                f"--auth PLAIN --auth-users {readable} --auth-password-file {readable}",
                "--auth-password-file and --auth-users exclude each other: ",
            ),
        ):
            self.check([*line.split(), "127.0.0.1"], *words)

    def test_load(self):
        """
        Loads that are none, or several.
        """
        for line, *words in (
            ("--rate 5", "--rate needs an end: expected --duration TIME or -m N along with it"),
            ("--ramp-up 5 --duration 5", "--ramp-up: 5 seconds are not usable: expected less than the 5 seconds of "),
            (
                "--ramp-up 1m --warmup 50s --duration 10s",
                "--ramp-up: 60 seconds are not usable: expected less than the 60 seconds of --warmup and --duration, "
                "or not all sessions join",
            ),
            ("--scenario /a --scenario /a", "--scenario is given more than once: expected one file"),
            ("--rate 5 --stages 0:1,1:1", "--rate '5' and --stages '0:1,1:1' exclude each other: give one of them"),
            ("--duration 5 --stages 0:1,1:1", "--duration '5' and --stages '0:1,1:1' exclude each other: "),
            *(
                (f"{schedule} --{option} 1", f"--{option} and {schedule.split()[0]} exclude each other: ")
                for schedule in ("--rate 5 -m 5", "--stages 0:1,1:1", "--find-rate errors==0")
                for option in ("fixed-interval", "random-interval")
            ),
            *(
                (f"{schedule} --ramp-up 1", f"--ramp-up and {schedule.split()[0]} exclude each other: ")
                for schedule in ("--rate 5 -m 5", "--stages 0:1,1:1 --stages-of sessions", "--find-rate errors==0")
            ),
            *(
                (f"--find-rate errors==0 {line}", f"{line.split()[0]} and --find-rate exclude each other: it has steps")
                for line in ("--stages 0:1,1:1", "--duration 5", "--message-count 5", "--warmup 5")
            ),
            *(
                (f"{line} {option}", f"{option.split()[0]} needs --rate, --stages or --find-rate")
                for line in ("-d", "--stages 0:1,1:1 --stages-of sessions")
                for option in ("--max-late 1", "--arrivals poisson")
            ),
            (
                "--catch-up 1",
                "--catch-up needs --rate or --stages",
            ),
            (
                "--find-rate errors==0 --catch-up 5",
                "--catch-up and --find-rate exclude each other: what is overdue at the end of a step is dropped",
            ),
            ("--hold-step 5", "--hold-step needs --find-rate"),
            ("--pin", "--pin needs --workers"),
            ("--workers 2 -v", "--verbose and --workers exclude each other: several would speak at once"),
            (
                "--workers 1024 --pin",
                "--pin needs a processor for each worker: expected --workers to be ",
                "or less, as many as this process may use",
            ),
            ("--stages-of sessions", "--stages-of needs --stages"),
            (
                "--stages 0:1,5:1 --warmup 5",
                "--warmup: 5 seconds are not usable: expected less than the 5 seconds of --stages",
            ),
            ("--stages 0:1.5,5:1 --stages-of sessions", "--stages: '0:1.5,5:1' is not usable: ", "of sessions"),
        ):
            self.check([*line.split(), "127.0.0.1"], *words)

    def test_noMail(self):
        """
        What only mail has is of no effect without mail, and is not asked of the server either: it is refused, whatever
        it is.
        """
        readable = self.file(b"a@b\n")
        corpus = self.mktemp()
        os.makedirs(corpus)
        with open(os.path.join(corpus, "a.eml"), "wb") as file:
            file.write(b"A: b\n")
        for option in (
            *("-f a", "-t a", "-r 2", "-N", "--recipient-numbering suffix", "-S x", "-l 5", f"-F {readable}"),
            *("--header A:b", f"--messages {corpus}", "--size-distribution fixed:1"),
            *("--recipients-distribution fixed:1", f"--senders {readable}", f"--recipients {readable}"),
            *("--domains a.test", "--pipelining require", "--pipelining auto", "--chunking force", "--8bitmime"),
            *("--smtputf8", "--size", "--dsn-notify never", "--dsn-ret full", "--dsn-envid x", "--requiretls"),
            *("--mt-priority 0", "--deliverby 5", "--ledger x"),
        ):
            for exercise in ("--noop", "--connect-only"):
                error = str(self.assertRaises(usage.UsageError, parsed, exercise, *option.split(), "127.0.0.1"))
                self.assertRegex(error, rf"^--[a-z0-9-]+ and {exercise} exclude each other: it sends no mail$")
        line = "-d --pipelining auto --chunking auto --window 2 --noop 127.0.0.1"
        self.check(line.split(), "--pipelining and --noop exclude each other: it sends no mail")
        self.check(["--noop", "--window", "2", "127.0.0.1"], "--window and --noop exclude each other: it sends no mail")
        plan = parsed("--noop", "-d", "-L", "-s2", "-w1", "--seed=1", "--window=1", "--pipelining=off", "sink:").plan
        self.assertEqual(plan.exercise, "noop")

    def test_thresholds(self):
        """
        Each threshold is checked; what it asks for must be there.
        """
        good = "--threshold=errors==0"
        expected = "--threshold: 'errors = 0' is not usable: expected one of <, <=, >, >=, ==, != after errors, not '='"
        self.check([good, "--threshold", "errors = 0", good, "127.0.0.1"], expected)
        expected = "--abort-on-threshold needs --threshold"
        self.check(["--abort-on-threshold", "127.0.0.1"], expected)
        for text in ("late == 0", "rate >= 0.99 * asked", "p99(response) < 1s"):
            for line in ([], ["--stages=0:1,1m:5", "--stages-of=sessions"]):
                expected = f"--threshold: {text!r} is not usable: expected --rate or --stages along with it"
                self.check([*line, good, "--threshold", text, "127.0.0.1"], expected)

    def test_traffic(self):
        """
        Values that make no sense together.
        """
        self.check(
            ["-t", "", "--domains", "a.test", "127.0.0.1"], "--domains and -t (--recipient) '' exclude each other"
        )
        corpus = self.mktemp()
        os.makedirs(corpus)
        with open(os.path.join(corpus, "a.eml"), "wb") as file:
            file.write(b"A: b\n")
        line = ["--messages", corpus, "--pick", "weighted", "127.0.0.1"]
        self.check(line, "--pick: 'weighted' is not usable: expected a readable file: No such file", "weights'")
        with open(os.path.join(corpus, "weights"), "wb") as file:
            file.write(b"a.eml 2\n")
        self.assertEqual(parsed(*line).plan.pick, "weighted")

    def test_fileAndLine(self):
        """
        What is wrong in a file is told with the number of its line.
        """
        for option, content, expected in (
            ("senders", b"a@x\nb@x often\n", "expected a weight of 0 or more, such as 3 or 0.5, in line 2"),
            ("recipients", b"#\n\na@x 1 2\n", "expected one value and maybe a weight, in line 3"),
        ):
            path = self.file(content)
            self.check([f"--{option}", path, "127.0.0.1"], f"--{option}: {path!r} is not usable: {expected}")

    def test_destinations(self):
        """
        Options that make no sense for a destination.
        """
        for line, destination, expected in (
            ("--bind ::1", "unix:/a", "--bind and a UNIX socket exclude each other: it has no addresses"),
            ("--mx", "unix:/a", "--mx and a UNIX socket exclude each other: "),
            ("--mx", "sink:", "--mx and sink: exclude each other: it needs a domain"),
        ):
            self.check([*line.split(), destination], expected)

    def test_emptyPassword(self):
        """
        An empty password is none.
        """
        self.environment[PASSWORD_VARIABLE] = ""
        self.check(["--auth", "PLAIN", "--auth-user", "me", "127.0.0.1"], "--auth-user needs a password: ")
        for content in (b"", b"\n", b"\nsecret\n"):
            line = ["--auth", "PLAIN", "--auth-user", "me", "--auth-password-file", self.file(content), "127.0.0.1"]
            self.check(line, "--auth-password-file: '/", "expected a password in the first line")

    def test_noPassword(self):
        """
        No error has a password in it, whatever is wrong with it or with its file.
        """
        for content, option, expected in (
            (b"secret\xff", "--auth-password-file", "expected a password in UTF-8"),
            (b"secret\x07", "--auth-password-file", "PLAIN can't be used for the user 'me': expected a password"),
            (b"me:secret\nsecret\n", "--auth-users", "expected user:password in line 2"),
            (b"me:secret\xff\n", "--auth-users", "expected UTF-8 in line 1"),
            (b"me:secret\nyou:secret\x07\n", "--auth-users", "PLAIN can't be used for the user 'you': expected a"),
            (b"#\n", "--auth-users", "expected at least one line with user:password"),
        ):
            user = ["--auth-user", "me"] if option == "--auth-password-file" else []
            line = ["--auth", "LOGIN,PLAIN", *user, option, self.file(content), "127.0.0.1"]
            error = str(self.assertRaises(usage.UsageError, parsed, *line))
            self.assertIn(expected, error)
            self.assertNotIn("secret", error)
        for password in ("secret\udcff", "secret\x07"):
            self.environment[PASSWORD_VARIABLE] = password
            error = str(
                self.assertRaises(usage.UsageError, parsed, "--auth", "PLAIN", "--auth-user", "me", "127.0.0.1")
            )
            self.assertTrue(
                error.startswith("--auth: PLAIN can't be used for the user 'me': expected a password"), error
            )
            self.assertNotIn("secret", error)

    def test_tls(self):
        """
        What TLS can't do is said now.
        """
        from certificates import makeCertificates  # it needs cryptography

        nothing = self.file(b"nothing of use\n")
        made = makeCertificates(self.mktemp())
        certificate, other = made.certificate, made.clientKey
        encrypted = self.file(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        both = self.file(certificate.read_bytes() + other.read_bytes())
        for line, *words in (
            (f"--tls-verify --tls-ca {nothing}", f"--tls-ca: {nothing!r} is not", "no usable CA certificate in /"),
            (
                f"--tls-cert {nothing} --tls-key {other}",
                f"--tls-cert: {nothing!r} is not",
                "no usable certificate in /",
            ),
            (f"--tls-cert {certificate} --tls-key {nothing}", f"--tls-key: {nothing!r} is not", "no usable key in"),
            (f"--tls-cert {certificate} --tls-key {other}", f"--tls-key: '{other}' is not", "does not match"),
            (f"--tls-cert {certificate} --tls-key {encrypted}", f"--tls-key: {encrypted!r} is not", "has a passphrase"),
            (f"--tls-cert {both}", f"--tls-cert: {both!r} is not", "does not match"),
            ("--tls-ciphers nonsense", "--tls-ciphers: 'nonsense' is not", "has no such ciphers: nonsense"),
        ):
            self.check(["--tls", "starttls", *line.split(), "127.0.0.1"], *words)
        scenario = self.file(f"[tls]\ntls = 'starttls'\ntls-verify = true\ntls-ca = '{nothing}'\n".encode())
        self.check(
            ["--scenario", scenario, "127.0.0.1"], f"--tls-ca: {nothing!r} is not", f"(tls.tls-ca is in {scenario})"
        )
        for destination, shown in (("sink:", "sink:"), ("unix:/a", "a UNIX socket")):
            self.check(
                ["--tls", "starttls", "--tls-verify", destination],
                f"--tls-verify needs a name to check, and {shown} has none: expected --tls-server-name NAME",
            )
        for line, destination in (("--tls-verify --tls-server-name a", "unix:/a"), ("--tls-verify", "127.0.0.1")):
            self.assertTrue(parsed("--tls", "implicit", *line.split(), destination).plan.tlsSettings.verify)

    if OpenSSL is None:
        test_tls.skip = "there is no pyOpenSSL"

    def test_noOpenSSL(self):
        """
        Without pyOpenSSL there is no TLS, and all the rest.
        """
        self.patch(client, "_missing", ImportError("No module named 'OpenSSL'"))
        self.check(
            ["--tls", "implicit", "127.0.0.1"],
            "--tls: 'implicit' is not usable: TLS needs pyOpenSSL",
            "pip install 'smtpsource[tls]'",
        )
        self.assertEqual(parsed("--tls", "off", "127.0.0.1").plan.tls, "off")

    def test_destination(self):
        """
        Exactly one destination, at the end, of a known kind.
        """
        self.check([], "no destination", "expected [inet:]host[:port], unix:path or sink:")
        self.check(["a", "b"], "2 words after the options: only one destination can be used")
        self.check(["a", "-d"], "-d: options go before the destination")
        self.check(["a:x"], "destination 'a:x' is not usable: ", "expected a port from 1 to 65535")
        self.check(["::1"], "destination '::1' is not usable: ", "in brackets")
        self.check(["-4", "[::1]"], "destination '[::1]' is not usable: ", "expected an IPv4 address")
        self.check(["-6", "127.0.0.1"], "destination '127.0.0.1' is not usable: ", "expected an IPv6 address")
        self.check([""], "destination '' is not usable: ")

    def test_schemes(self):
        """
        What a destination says, and options that say something else; a password in it is not repeated.
        """
        for line, *words in (
            ("-L smtp://a", "-L (--lmtp) and the destination smtp: exclude each other: that is SMTP"),
            ("-L smtps://a", "-L (--lmtp) and the destination smtps: exclude each other: "),
            (
                "--tls starttls smtps://a",
                "--tls 'starttls' and the destination smtps: exclude each other: that is --tls implicit",
            ),
            ("--tls off smtps://a", "--tls 'off' and the destination smtps: exclude each other: "),
            ("--esmtp lmtp://a", "--esmtp and the destination lmtp: exclude each other: LHLO asks"),
            ("--mx lmtp:unix:/a", "--mx and a UNIX socket exclude each other"),
            ("http://a", "destination 'http://a' is not usable: expected smtp://, smtps:// or lmtp://, not http://"),
            ("smtp://me:hunter2@a", "destination is not usable: expected no user and no password in it"),
            ("me:hunter2@a:25", "destination is not usable: expected no user and no password in it"),
        ):
            self.check(line.split(), *words)
        for values in ({"lmtp": True}, {"tls": "starttls"}):
            error = str(self.assertRaises(ValueError, SourcePlan, destination="smtps://a", **values))
            self.assertTrue(error.startswith(f"destination and {next(iter(values))} exclude each other: "), error)

    def test_missingValue(self):
        """
        The destination is not the value of an option that can't have it; nor is an option.
        """
        for line, *words in (
            ("-s 127.0.0.1:2525", "-s (--session-count): its value is missing: '127.0.0.1:2525' is the destination"),
            ("-s localhost", "-s (--session-count): its value is missing: 'localhost' is the destination"),
            ("--rate mx.example", "--rate: its value is missing: 'mx.example' is the destination"),
            ("-d -m [::1]:25 -A", "-m (--message-count): its value is missing: '[::1]:25' is the destination"),
            ("-m sink: -s 5", "-m (--message-count): its value is missing: 'sink:' is the destination"),
            ("-F unix:/no/such", "-F (--message-file): its value is missing: 'unix:/no/such' is the destination"),
            ("--scenario no.toml", "--scenario: 'no.toml' is not usable: expected a readable file: No such file"),
            ("-S localhost:25", "no destination: 'localhost:25' was taken for the value of -S (--subject): expected "),
            ("-m -d localhost", "-m (--message-count): its value is missing: -d is an option"),
            ("-f -t a@b localhost", "-f (--sender): its value is missing: -t is an option"),
            ("--subject --quiet localhost", "-S (--subject): its value is missing: --quiet is an option"),
            ("-s many", "no destination: expected "),
            ("-S hello", "no destination: expected "),
            ("-s 5 -m 5", "no destination: expected "),
        ):
            self.check(line.split(), *words)
        scenario = self.file(b"destination = 'sink:'\n")
        line = ["--scenario", scenario, "-s", "localhost:25"]
        self.check(line, "-s (--session-count): its value is missing: 'localhost:25' is the destination")
        self.assertEqual(parsed("-S-d", "-f", "-x", "a").plan.subject, b"-d")

    def test_unknown(self):
        """
        Options that don't exist, and values that are missing.
        """
        self.check(["--no-such", "a"], "--no-such: no such option")
        self.check(["-Z", "a"], "-Z: no such option")
        self.check(["-m"], "-m (--message-count): its value is missing")
        self.check(["--lmtp=yes", "a"], "-L (--lmtp): expected no value after it")

    def test_machineName(self):
        """
        A machine whose own name can't be said needs -M.
        """
        with mock.patch("socket.gethostname", return_value="bad name"):
            self.check(["127.0.0.1"], "this machine's name 'bad name' is not usable", "use -M NAME")
            self.assertEqual(parsed("-M", "x", "127.0.0.1").plan.myhostname, "x")

    def test_files(self):
        """
        More sessions than there can be connections are refused before any is made; more than there are messages are
        not counted.
        """
        self.patch(module, "raiseFileLimit", lambda: 10)
        self.check(["-s", "11", "-m", "11", "127.0.0.1"], "-s (--session-count): 11 sessions", "expected at most 10")
        self.assertEqual(parsed("-s", "10", "-m", "20", "127.0.0.1").plan.sessionCount, 10)
        self.assertEqual(parsed("-s", "11", "-m", "10", "127.0.0.1").plan.sessionCount, 11)

    def test_planItself(self):
        """
        A harness that makes a plan directly is told of its mistakes in the same way.
        """
        for values in (
            {"messageCount": 0},
            {"sessionCount": -1},
            {"connectAttempts": 0},
            {"connectParallelism": 0},
            {"recipientCount": 0},
            {"length": 0},
            {"windowSize": 0},
            {"timeout": 0},
            {"connectTimeout": 0.0},
            {"timeout": float("nan")},
            {"grace": -1},
            {"grace": float("nan")},
            {"recipientNumbering": "both"},
            {"length": 1, "message": b"x"},
            {"message": b""},
            {"fixedInterval": 1.0, "randomInterval": 1.0},
            {"destination": "a:b:c"},
        ):
            e = self.assertRaises(ValueError, SourcePlan, **values)
            if "destination" not in values:
                self.assertIn(next(iter(values)), str(e))


class HelpTests(SynchronousTestCase):
    """
    What --help and --version show.
    """

    def test_everyOption(self):
        """
        Every option is there once, with its letter, its value's name and its default.
        """
        text = SourceOptions().getUsage()
        headings = [line for line in text.splitlines() if line.endswith(":") and line.count(" ") == 0]
        self.assertEqual(
            headings,
            [
                "Load:",
                "Workers:",
                "Message:",
                "Traffic:",
                "Dialogue:",
                "Extensions:",
                "TLS:",
                "Login:",
                "Parameters:",
                "Connections:",
                "Ledger:",
                "Results:",
                "Other:",
            ],
        )
        for _, group in SourceOptions.groups:
            for option in group:
                left = f"  -{option.short}, --{option.long}" if option.short else f"      --{option.long}"
                if isinstance(option, ValueOption):
                    left += f" {option.meta}"
                lines = [line for line in text.splitlines() if line == left or line.startswith(left + " ")]
                self.assertEqual(len(lines), 1, left)
                if isinstance(option, ValueOption) and option.default is not None:
                    self.assertIn(f"(default: {option.default})", " ".join(text.split()))
        self.assertIn("--version", text)
        self.assertTrue(all(len(line) <= 79 for line in text.splitlines()))

    def test_manualPage(self):
        """
        Every letter of smtp-source(1) is there, and no other.
        """
        letters = {option.short for _, group in SourceOptions.groups for option in group if option.short}
        self.assertEqual(letters, set("46AcCdfFlLmMNorRsStTvw"))

    def test_methods(self):
        """
        A flag that says it has a method of its own has one.
        """
        for _, group in SourceOptions.groups:
            for option in group:
                if isinstance(option, Flag) and option.method:
                    self.assertTrue(hasattr(SourceOptions, f"opt_{option.long}"))
                    self.assertTrue(hasattr(SourceOptions, f"opt_{option.short}"))

    def test_options(self):
        """
        --help and --version say what they should and exit with 0.
        """
        for argument, start in (
            ("--version", f"smtpsource {__version__} ({speedups.NAME})\n"),
            ("-V", f"smtpsource {__version__} ({speedups.NAME})\n"),
            ("--help", "Usage: smtpsource [options]"),
            ("-h", "Usage: smtpsource [options]"),
            ("-dh", "Usage: smtpsource [options]"),
        ):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                e = self.assertRaises(SystemExit, parsed, argument)
            self.assertFalse(e.code)
            self.assertTrue(out.getvalue().startswith(start), out.getvalue())

    def shown(self, parse, *arguments):
        """
        @return: what a command line shows before it exits.
        """
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertFalse(self.assertRaises(SystemExit, parse, *arguments).code)
        return out.getvalue()

    def test_heading(self):
        """
        With a heading after it, --help shows what stands there and nothing else. The help of all says so at first.
        """
        text = self.shown(parsed, "--help", "tls")
        self.assertTrue(text.startswith("TLS:\n      --tls MODE "), text)
        wanted = {f"--{option.long}" for heading, group in SourceOptions.groups if heading == "TLS" for option in group}
        self.assertEqual({word for word in text.split() if word.startswith("--tls")}, wanted)
        for arguments in (["--help=tls"], ["-h", "TLS"], ["-dh", "tls"], ["--help", "tls", "127.0.0.1"]):
            self.assertEqual(self.shown(parsed, *arguments), text)
        self.assertTrue(self.shown(sinkParsed, "--help", "TLS and AUTH").startswith("TLS and AUTH:\n"))
        self.assertTrue(self.shown(sinkParsed, "--help=tls-and-auth").startswith("TLS and AUTH:\n"))
        self.assertTrue(self.shown(sinkParsed, "--help", "auth").startswith("TLS and AUTH:\n"))
        help = " ".join(self.shown(parsed, "--help").split())
        self.assertIn(
            " One heading only: smtpsource --help HEADING, of load, workers, message, traffic, dialogue, extensions, "
            "tls, login, parameters, connections, ledger, message-log, results, other Make SMTP ",
            help,
        )

    def test_noHeading(self):
        """
        A heading that there is not is told, with those that there are; what is no word is none.
        """
        for arguments in (["--help", "conections"], ["--help=conections"], ["-h", "conections"]):
            self.assertEqual(
                str(self.assertRaises(usage.UsageError, parsed, *arguments)),
                "--help: 'conections' is no heading of options: expected one of load, workers, message, traffic, "
                "dialogue, extensions, tls, login, parameters, connections, ledger, message-log, results, other; did "
                "you mean connections?",
            )
        e = str(self.assertRaises(usage.UsageError, sinkParsed, "--help", "what"))
        self.assertTrue(
            e.startswith("--help: 'what' is no heading of options: expected one of where-it-listens, what-it-says"), e
        )
        self.assertEqual(self.shown(parsed, "--help", "127.0.0.1:25"), self.shown(parsed, "--help"))
        self.assertEqual(self.shown(parsed, "--help", "-d"), self.shown(parsed, "--help"))

    def test_hostname(self):
        """
        In the sink, -h is what it is in Postfix's.
        """
        self.assertEqual(sinkParsed("-h", "mx.example", ":0").plan.hostname, "mx.example")
        self.assertIn("\n      --help [HEADING]  ", self.shown(sinkParsed, "--help"))
        self.assertIn("\n  -h, --help [HEADING]  ", self.shown(parsed, "--help"))

    def test_twistd(self):
        """
        Under twistd the command is called as it is there.
        """
        parent = Twistd()
        parent.subCommand = "smtp-source"
        text = self.shown(lambda: parsed("--help", parent=parent))
        self.assertTrue(text.startswith("Usage: twistd [twistd's options] smtp-source [options]"), text)
        self.assertIn("\nOne heading only: twistd smtp-source --help HEADING, of load", text)
        self.assertEqual(parsed("sink:", parent=parent).plan.command, ("smtp-source", "sink:"))
        self.assertEqual(parsed("sink:").plan.command, ("smtpsource", "sink:"))


class CommandTests(SynchronousTestCase):
    """
    Words that may be commands, and may be hosts.
    """

    def setUp(self):
        self.asked = []
        self.patch(module.destination, "isKnown", lambda host: self.asked.append(host) or host == "sinks")

    def parsed(self, *arguments):
        options = SourceOptions()
        options.commands = ("compare", "merge", "calibrate", "sink", "help", "version")
        options.parseOptions(arguments)
        return options.plan.destination.host

    def test_misspelt(self):
        """
        A word that is nearly a command, and no host, or has words after it.
        """
        for words, command in (
            (["comapre"], "compare"),
            (["comapre", "a.json", "b.json"], "compare"),
            (["calibarte", "--quick"], "calibrate"),
            (["Hepl"], "help"),
            (["sinks", ":25"], "sink"),
        ):
            self.assertEqual(
                str(self.assertRaises(usage.UsageError, self.parsed, *words)),
                f"did you mean the command {command}? (a host of that name: {words[0]}:25)",
            )
        self.assertEqual(self.asked, ["comapre", "Hepl"])

    def test_hosts(self):
        """
        All others are hosts, and nobody asks whether there are such.
        """
        for words in (
            ["comapre:25"],
            ["inet:comapre"],
            ["-d", "comapre"],
            ["comapre.example"],
            ["mail"],
            ["localhost"],
        ):
            self.assertEqual(self.parsed(*words), words[-1].removeprefix("inet:").removesuffix(":25"))
        self.assertEqual(self.asked, [])
        self.assertEqual(self.parsed("sinks"), "sinks")
