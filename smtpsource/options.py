"""
The command line of smtp-source. Every check of a user's wishes is made here, before anything is sent.
"""

from __future__ import annotations

import getopt
import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from typing import ClassVar

from twisted.python import usage

from smtpsource import arguments, scenario
from smtpsource.commandline import OTHER, CommandLine, Exclusion, Flag, Group, Parameter, flags, parameters
from smtpsource.credentials import PASSWORD_VARIABLE, Credentials, readPassword, readUsers
from smtpsource.measure import thresholds
from smtpsource.net import destination
from smtpsource.net.limits import raiseFileLimit
from smtpsource.net.tlssettings import TLSSettings, ciphers, serverName
from smtpsource.plan import SourcePlan, machineName
from smtpsource.report.presentation import Presentation
from smtpsource.smtp import xclient
from smtpsource.smtp.parameters import Parameters
from smtpsource.traffic import addresses, corpus, headers, sizes
from smtpsource.traffic.loading import PICKS
from smtpsource.traffic.schedule import ARRIVALS


def _oneLine(text: str) -> bytes:
    return arguments.oneLine(os.fsencode(text))


def _wholeMessage(text: str) -> bytes:
    path = arguments.readableFile(text)
    try:
        with open(path, "rb") as file:
            message = file.read()
    except MemoryError:
        raise ValueError("expected a message that fits into memory")
    if not message:
        raise ValueError("expected a message, headers and all; this file is empty")
    return message


def _helo(text: str) -> bytes:
    if not text:
        raise ValueError("expected a text, not an empty one")
    return _oneLine(text)


def _user(text: str) -> str:
    arguments.oneLine(os.fsencode(text))
    if not text:
        raise ValueError("expected a user, not an empty text")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= 65535):
        raise ValueError("expected a port from 1 to 65535, or 0 for any that is free")
    return int(text)


def _interface(text: str) -> str:
    try:
        return arguments.ipAddress(text)
    except ValueError:
        raise ValueError("expected an address of this machine, such as 127.0.0.1, ::1 or, for all, 0.0.0.0")


def _upper(convert: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: convert(text.upper())


_TLS = (
    *("tls-verify", "tls-ca", "tls-server-name", "tls-min", "tls-max", "tls-ciphers", "tls-cert", "tls-key"),
    "tls-resume",
)
_PARAMETERS = (
    *("8bitmime", "smtputf8", "size", "dsn-notify", "dsn-ret", "dsn-envid", "requiretls", "mt-priority"),
    "deliverby",
)
#: What only mail has, besides these.
_OF_MAIL = (
    *("sender", "recipient", "recipient-count", "number-recipients", "recipient-numbering", "subject", "length"),
    *("message-file", "header", "messages", "size-distribution", "recipients-distribution", "senders", "recipients"),
    *("domains", "pipelining", "chunking"),
)


class SourceOptions(CommandLine):
    """
    The options of smtp-source(1) of Postfix, by their letters, and our own, by long names only.

    @ivar plan: what to do, once the options are parsed.
    @ivar presentation: how to show what came back.
    """

    tool = "smtp-source"
    synopsis = "smtpsource [options] [inet:]host[:port] | unix:/path | sink:"
    longdesc = "Make SMTP or LMTP load and measure what comes back."
    about = (
        "Make SMTP or LMTP load and measure what comes back. The single letters are those of Postfix's\n"
        "smtp-source(1). The destination sink: is a server of our own, started for the run.\n"
        "Counts may end in k or m (1000, 1000000); sizes too (1024, 1048576); times are in seconds, such as 0.25."
    )
    closing = (
        "Exit status: 0 everything was accepted; 1 something was refused or failed, or the run was stopped;\n"
        "2 the command line can't be used; 3 a threshold failed.\n"
        "Example: smtpsource -d -s 20 -m 10000 sink:\n"
        "For reports: smtpsource compare A.json B.json; smtpsource merge A.json B.json ...; see their --help."
    )

    groups: ClassVar[Sequence[Group]] = (
        (
            "Load",
            (
                Parameter(
                    "scenario",
                    None,
                    "FILE",
                    None,
                    "take the options that are not given here, and the destination, from this TOML file",
                    arguments.readableFile,
                ),
                Parameter(
                    "message-count",
                    "m",
                    "N",
                    None,
                    "messages to send, over all sessions (default: 1, or no limit with --duration or --stages)",
                    arguments.count,
                ),
                Parameter(
                    "session-count", "s", "N", "1", "sessions in parallel; with a rate, at most", arguments.count
                ),
                Flag("dont-disconnect", "d", "send all messages of a session over one connection"),
                Parameter(
                    "fixed-interval",
                    "w",
                    "SECONDS",
                    None,
                    "wait between a session's messages",
                    arguments.seconds,
                ),
                Parameter(
                    "random-interval",
                    "R",
                    "SECONDS",
                    None,
                    "wait up to this long instead, drawn anew each time",
                    arguments.seconds,
                ),
                Parameter(
                    "duration", None, "TIME", None, "send for so long, such as 30s, 5m or 1h30m", arguments.duration
                ),
                Parameter("warmup", None, "TIME", None, "send for so long before that, unmeasured", arguments.duration),
                Parameter("ramp-up", None, "TIME", None, "sessions join evenly over this time", arguments.duration),
                Parameter(
                    "rate",
                    None,
                    "RATE",
                    None,
                    "open loop: start so many messages, 500/s, 30/m or 10/h, whatever the server does; latency counts "
                    "from the time that a message was wanted",
                    arguments.rate,
                ),
                Parameter(
                    "arrivals",
                    None,
                    "HOW",
                    "constant",
                    "with a rate: constant, or poisson, independently of each other",
                    arguments.oneOf(*ARRIVALS),
                ),
                Parameter(
                    "stages",
                    None,
                    "STAGES",
                    None,
                    "a rate that changes: 0:0,30s:1000,5m:1000,30s:0 is from 0 to 1000/s in 30 s and so on",
                ),
                Parameter(
                    "stages-of",
                    None,
                    "WHAT",
                    "rate",
                    "what changes: rate, or sessions, in a closed loop",
                    arguments.oneOf("rate", "sessions"),
                ),
                Parameter(
                    "max-late",
                    None,
                    "TIME",
                    None,
                    "with a rate: drop a message that can't start within this time (default: none is dropped)",
                    arguments.duration,
                ),
                Parameter(
                    "find-rate",
                    None,
                    "EXPR",
                    None,
                    "look for the highest rate at which this holds, such as 'p99(message) < 250ms and errors < 0.1%'; "
                    "--rate is the first to try",
                    thresholds.parse,
                ),
                Parameter(
                    "hold-step",
                    None,
                    "TIME",
                    None,
                    "with --find-rate: try each rate for so long (default: 10s)",
                    arguments.duration,
                ),
            ),
        ),
        (
            "Message",
            (
                Parameter("sender", "f", "ADDR", None, "envelope and header sender (default: foo@NAME)", _oneLine),
                Parameter(
                    "recipient",
                    "t",
                    "ADDR",
                    None,
                    "envelope and header recipient (default: foo@NAME)",
                    _oneLine,
                ),
                Parameter(
                    "recipient-count",
                    "r",
                    "N",
                    None,
                    "recipients of each message (default: 1)",
                    arguments.count,
                ),
                Flag("number-recipients", "N", "give every recipient of the run its own number"),
                Parameter(
                    "recipient-numbering",
                    None,
                    "WAY",
                    "prefix",
                    "1user@domain as before Postfix 3.9 (prefix), or user0@domain as since (suffix)",
                    arguments.numbering,
                ),
                Parameter("subject", "S", "TEXT", None, "a Subject header", _oneLine),
                Parameter(
                    "length",
                    "l",
                    "BYTES",
                    None,
                    "body size, without headers (default: 4 short lines)",
                    arguments.size,
                ),
                Parameter("message-file", "F", "FILE", None, "send this file, headers and all", _wholeMessage),
                Parameter(
                    "header",
                    None,
                    "LINE",
                    None,
                    "one more header, such as 'X-Run: {run} {n}'; {session}, {size}, {date} and {random:8} are filled "
                    "in, too, also in -S",
                    lambda text: headers.header(os.fsencode(text)),
                    repeated=True,
                ),
                Parameter(
                    "number-start",
                    None,
                    "N",
                    None,
                    "the first number of a recipient (default: 1, or 0 with suffix)",
                    arguments.wholeNumber(0),
                ),
                Parameter(
                    "number-width",
                    None,
                    "N",
                    None,
                    "fill numbers up with zeros to so many digits",
                    arguments.wholeNumber(1, arguments.WIDEST),
                ),
            ),
        ),
        (
            "Traffic",
            (
                Parameter(
                    "messages",
                    None,
                    "PATH",
                    None,
                    "send the messages of a directory of .eml files, of a Maildir or of an mbox file",
                    corpus.index,
                ),
                Parameter(
                    "pick",
                    None,
                    "HOW",
                    "in-turn",
                    "which of them is next: in-turn, random, or weighted, as a file of weights beside them says",
                    arguments.oneOf(*PICKS),
                ),
                Parameter(
                    "size-distribution",
                    None,
                    "DIST",
                    None,
                    "draw the size of each body: fixed:4k, uniform:1k-100k, lognormal:median=8k,sigma=1.5 or "
                    "empirical:FILE, with lines of a size and its weight",
                    lambda text: sizes.parse(text, arguments.size),
                ),
                Parameter(
                    "recipients-distribution",
                    None,
                    "DIST",
                    None,
                    "draw the number of recipients of each message likewise, such as uniform:1-10",
                    lambda text: sizes.parse(text, arguments.count),
                ),
                Parameter(
                    "senders",
                    None,
                    "FILE",
                    None,
                    "senders, an address in each line, in turn, or at random where weights come after them",
                    addresses.readSenders,
                ),
                Parameter("recipients", None, "FILE", None, "recipients, likewise", addresses.readRecipients),
                Parameter(
                    "domains",
                    None,
                    "LIST",
                    None,
                    "draw the domain of each recipient, by weight: a.test:9,b.test:1",
                    addresses.domains,
                ),
                Parameter(
                    "seed",
                    None,
                    "N",
                    None,
                    "make the same traffic again: whatever is random comes from this number",
                    arguments.wholeNumber(0),
                ),
            ),
        ),
        (
            "Dialogue",
            (
                Parameter(
                    "myhostname",
                    "M",
                    "NAME",
                    None,
                    "our name in HELO and LHLO (default: this machine's)",
                    arguments.hostname,
                ),
                Parameter("helo", None, "TEXT", None, "say this in HELO, EHLO and LHLO, and NAME elsewhere", _helo),
                Flag("lmtp", "L", "speak LMTP"),
                Flag("old-mode", "o", "say no HELO, and send no generated headers"),
                Flag(
                    "dont-abort",
                    "A",
                    "count refusals and faults and go on; without it the first one ends the run",
                ),
                Parameter("timeout", None, "SECONDS", "300", "wait this long for each reply", arguments.seconds),
            ),
        ),
        (
            "Extensions",
            (
                Flag("esmtp", None, "say EHLO, and HELO only where that is refused"),
                Parameter(
                    "pipelining",
                    None,
                    "MODE",
                    "off",
                    "send commands in groups: off; auto, where the server announces it; require; force, even where it "
                    "does not",
                    arguments.extensionMode,
                ),
                Parameter(
                    "chunking",
                    None,
                    "MODE",
                    "off",
                    "send content by BDAT, not DATA; with --pipelining it goes along with its envelope; the same modes",
                    arguments.extensionMode,
                ),
                Parameter(
                    "chunk-size", None, "BYTES", None, "with --chunking, cut content into chunks", arguments.size
                ),
                Parameter(
                    "window",
                    None,
                    "N",
                    "1",
                    "with --pipelining, --chunking and -d: transactions under way on each connection",
                    arguments.count,
                ),
                Parameter(
                    "xclient",
                    None,
                    "ATTRS",
                    None,
                    "Postfix's XCLIENT: NAME=client.example,ADDR=192.0.2.1 and so on",
                    xclient.parse,
                ),
            ),
        ),
        (
            "TLS",
            (
                Parameter(
                    "tls",
                    None,
                    "MODE",
                    "off",
                    "off, starttls, or implicit: from the start; needs the extra tls",
                    arguments.tlsMode,
                ),
                Flag("tls-verify", None, "check the server's certificate"),
                Parameter(
                    "tls-ca",
                    None,
                    "FILE",
                    None,
                    "trust these CAs, PEM (default: the system's)",
                    arguments.readableFile,
                ),
                Parameter(
                    "tls-server-name",
                    None,
                    "NAME",
                    None,
                    "the name to ask for and to check (default: the destination's)",
                    serverName,
                ),
                Parameter("tls-min", None, "VERSION", None, "1.0, 1.1, 1.2 or 1.3", arguments.tlsVersion),
                Parameter("tls-max", None, "VERSION", None, "likewise", arguments.tlsVersion),
                Parameter("tls-ciphers", None, "LIST", None, "ciphers to offer, as OpenSSL names them", ciphers),
                Parameter(
                    "tls-cert", None, "FILE", None, "our certificate, with its chain, PEM", arguments.readableFile
                ),
                Parameter("tls-key", None, "FILE", None, "its key (default: in the same file)", arguments.readableFile),
                Flag("tls-resume", None, "offer the last session, as a client does that comes back"),
            ),
        ),
        (
            "Login",
            (
                Parameter(
                    "auth",
                    None,
                    "MECHS",
                    None,
                    f"log in with the first of these that is offered: {','.join(arguments.MECHANISMS)}",
                    arguments.mechanisms,
                ),
                Parameter("auth-user", None, "USER", None, "who to log in as", _user),
                Parameter(
                    "auth-password-file",
                    None,
                    "FILE",
                    None,
                    f"has the password, or token, in its first line (default: it is in {PASSWORD_VARIABLE})",
                    readPassword,
                ),
                Parameter(
                    "auth-users",
                    None,
                    "FILE",
                    None,
                    "lines of user:password, used in turn by all connections",
                    readUsers,
                ),
            ),
        ),
        (
            "Parameters",
            (
                Flag("8bitmime", None, "MAIL with BODY=8BITMIME"),
                Flag("smtputf8", None, "MAIL with SMTPUTF8"),
                Flag("size", None, "MAIL with SIZE: the most that a message of this run has"),
                Parameter(
                    "dsn-notify",
                    None,
                    "WHEN",
                    None,
                    "RCPT with NOTIFY: NEVER, or some of SUCCESS,FAILURE,DELAY",
                    arguments.notify,
                ),
                Parameter("dsn-ret", None, "WHAT", None, "MAIL with RET: FULL or HDRS", _upper(arguments.ret)),
                Parameter("dsn-envid", None, "ID", None, "MAIL with ENVID, the envelope's id", arguments.envelopeId),
                Flag("requiretls", None, "MAIL with REQUIRETLS, which servers offer within TLS only"),
                Parameter("mt-priority", None, "N", None, "MAIL with MT-PRIORITY, from -9 to 9", arguments.priority),
                Parameter(
                    "deliverby",
                    None,
                    "SECONDS",
                    None,
                    "MAIL with BY: deliver within; ;N or ;R may follow",
                    arguments.deliverBy,
                ),
            ),
        ),
        (
            "Connections",
            (
                Flag("ipv4", "4", "use a name's IPv4 addresses only", method=True),
                Flag("ipv6", "6", "use a name's IPv6 addresses only", method=True),
                Parameter(
                    "connect-count",
                    "C",
                    "N",
                    "1",
                    "attempts for each connection, with growing delays",
                    arguments.count,
                ),
                Parameter(
                    "connect-parallelism",
                    None,
                    "N",
                    "100",
                    "connections in the making at once",
                    arguments.count,
                ),
                Parameter(
                    "connect-timeout",
                    None,
                    "SECONDS",
                    "30",
                    "wait this long for each address to answer",
                    arguments.seconds,
                ),
                Parameter(
                    "messages-per-connection",
                    None,
                    "N",
                    None,
                    "use each connection for N messages (default: 1, or all with -d)",
                    arguments.count,
                ),
                Flag("connect-only", None, "send no mail: -m counts connections, greeted and logged in to"),
                Flag("noop", None, "send NOOP in place of each message"),
                Parameter(
                    "hold",
                    None,
                    "SECONDS",
                    None,
                    "keep each connection open this long before its QUIT",
                    arguments.seconds,
                ),
                Parameter(
                    "bind",
                    None,
                    "ADDRS",
                    None,
                    "connect from these addresses in turn, separated by commas",
                    arguments.ipAddresses,
                ),
                Parameter(
                    "proxy-protocol",
                    None,
                    "VERSION",
                    None,
                    "begin with the header of HAProxy's PROXY protocol, v1 or v2",
                    arguments.proxyProtocol,
                ),
                Parameter(
                    "proxy-source",
                    None,
                    "ADDRS",
                    None,
                    "the clients it names, in turn (default: a different one for each connection)",
                    arguments.ipAddresses,
                ),
                Flag("mx", None, "the host is a domain: connect to its mail exchangers"),
                Parameter(
                    "dns-server",
                    None,
                    "ADDR",
                    None,
                    "with --mx, ask the name server there (default: the system's)",
                    arguments.dnsServer,
                ),
                Parameter(
                    "window-size",
                    "T",
                    "BYTES",
                    None,
                    "socket buffers (default: the system's)",
                    arguments.size,
                ),
            ),
        ),
        (
            "Results",
            (
                Flag("counter", "c", "show how many messages were accepted so far"),
                Flag("quiet", None, "no summary at the end"),
                Parameter(
                    "report",
                    None,
                    "FILE",
                    None,
                    "write the results there as JSON; - is standard output",
                    arguments.writableFile,
                ),
                Parameter(
                    "csv",
                    None,
                    "FILE",
                    None,
                    "write there what happened in each second, as values separated by commas; - likewise",
                    arguments.writableFile,
                ),
                Parameter(
                    "hlog",
                    None,
                    "FILE",
                    None,
                    "write the latencies of each second there, as a log for HdrHistogram's tools; - likewise",
                    arguments.writableFile,
                ),
                Parameter(
                    "junit",
                    None,
                    "FILE",
                    None,
                    "write there as JUnit's XML whether all was accepted, and the thresholds; - likewise",
                    arguments.writableFile,
                ),
                Parameter(
                    "grace",
                    None,
                    "SECONDS",
                    "5",
                    "when the run is stopped, give messages on their way this long to end",
                    arguments.secondsOrZero,
                ),
                Parameter(
                    "threshold",
                    None,
                    "EXPR",
                    None,
                    "what must be so of the run: 'p99(message) < 250ms', 'rate >= 0.99 * asked' or 'errors < 0.1%'",
                    thresholds.parse,
                    repeated=True,
                ),
                Flag("abort-on-threshold", None, "end the run when a threshold fails while it goes on"),
                Parameter(
                    "live",
                    None,
                    "WHEN",
                    "auto",
                    "show on standard error how the run goes on: auto, if that is a terminal and neither --quiet, -c "
                    "nor -v is given; on, elsewhere as a line a second; off",
                    arguments.oneOf("auto", "on", "off"),
                ),
                Parameter(
                    "metrics-port",
                    None,
                    "PORT",
                    None,
                    "serve metrics for Prometheus there while the run goes on; 0 is any free port",
                    _port,
                ),
                Parameter(
                    "metrics-interface",
                    None,
                    "ADDR",
                    None,
                    "serve them at this address of this machine (default: 127.0.0.1)",
                    _interface,
                ),
                Flag(
                    "verbose",
                    "v",
                    "show all commands and replies on standard error; -v -v is no more",
                    method=True,
                ),
            ),
        ),
        OTHER,
    )
    rivals = (("ipv4", "ipv6"),)
    optFlags = flags(groups)
    optParameters = parameters(groups)

    plan: SourcePlan
    presentation: Presentation

    def __init__(self) -> None:
        super().__init__()
        self["verbose"] = 0
        self["family"] = socket.AF_UNSPEC
        self["destination"] = None

    def opt_verbose(self) -> None:
        """
        Show every command and reply on standard error.
        """
        self["verbose"] += 1

    opt_v = opt_verbose

    def opt_ipv4(self) -> None:
        """
        Use a name's IPv4 addresses only. The last of -4 and -6 wins, as with smtp-source(1).
        """
        self["family"] = socket.AF_INET

    opt_4 = opt_ipv4

    def opt_ipv6(self) -> None:
        """
        Use a name's IPv6 addresses only.
        """
        self["family"] = socket.AF_INET6

    opt_6 = opt_ipv6

    def parseArgs(self, *destinations: str) -> None:
        """
        Exactly one destination, after all options; a scenario may have it.
        """
        if not destinations and self["scenario"] is not None:
            return
        if len(destinations) != 1:
            misplaced = [text for text in destinations[1:] if text.startswith("-")]
            if not destinations:
                problem = "no destination"
            elif misplaced:
                problem = f"{misplaced[0]}: options go before the destination"
            else:
                problem = f"{destinations[1]!r}: only one destination can be used"
            raise usage.UsageError(f"{problem}: expected [inet:]host[:port], unix:path or sink: at the end")
        self["destination"] = destinations[0]

    def postOptions(self) -> None:
        """
        Check everything, and make the plan.
        """
        named = [name for name, _ in getopt.getopt(self.command[1:], self.shortOpt, self.longOpt)[0]]
        if named.count("--scenario") > 1:
            raise usage.UsageError("--scenario is given more than once: expected one file")
        if self["scenario"] is None:
            self._check()
        else:
            scenario.merge(self, self._check)

    def _check(self) -> None:
        self.oneOf("length", "message-file", "messages", "size-distribution")
        self.oneOf("recipient-count", "recipients-distribution")
        self.oneOf("sender", "senders")
        self.oneOf("recipient", "recipients")
        self.oneOf("subject", "messages")
        self.oneOf("fixed-interval", "random-interval")
        self.oneOf("rate", "stages")
        self.oneOf("duration", "stages")
        super().postOptions()
        self._checkLoad()
        try:
            goal = destination.parse(self["destination"], self["family"])
        except ValueError as e:
            raise usage.UsageError(f"destination {self['destination']!r} is not usable: {e}")
        if self["myhostname"] is None:
            try:
                self["myhostname"] = machineName()
            except ValueError as e:
                raise usage.UsageError(f"this machine's name {socket.gethostname()!r} is not usable: {e}; use -M NAME")
        self._checkFiles()
        sessions = self["session-count"]
        if not (self["duration"] or self["stages"] or self["find-rate"]):
            sessions = min(sessions, self["message-count"] or 1)
        room = raiseFileLimit()
        if sessions > room:
            raise usage.UsageError(
                f"-s (--session-count): {self['session-count']} sessions need more open files than this process may "
                f"have: expected at most {room}, or a higher limit (ulimit -Hn)"
            )
        self._checkTraffic()
        self._checkTogether(goal)
        try:
            self.plan = self._plan(goal)
        except ValueError as e:
            raise usage.UsageError(f"--auth: {e}")  # all else was checked above
        try:
            self.plan.clientTLS()
        except ValueError as e:
            raise usage.UsageError(f"--tls: {self['tls']!r} is not usable: {e}")
        self.presentation = Presentation(
            self.tool,
            bool(self["counter"]),
            bool(self["quiet"]),
            self["report"],
            self.daemonized,
            csv=self["csv"],
            hlog=self["hlog"],
            junit=self["junit"],
            live=self._live(),
            metrics=self._metrics(),
        )
        self.chooseReactor()

    def _live(self) -> str:
        """
        How to show how the run goes on.
        """
        others = [shown for option, shown in (("counter", "-c (--counter)"), ("verbose", "-v")) if self[option]]
        if self["live"] == "on" and others:
            raise usage.UsageError(f"--live 'on' and {others[0]} exclude each other: expected one of them")
        # Under twistd and twist a terminal has the log.
        unwanted = others or self["quiet"] or getattr(self, "parent", None) is not None
        return "off" if self["live"] == "auto" and unwanted else str(self["live"])

    def _metrics(self) -> tuple[str, int] | None:
        """
        Where to serve metrics.
        """
        if self["metrics-port"] is None:
            self._needing("--metrics-port", "metrics-interface")
            return None
        return self["metrics-interface"] or "127.0.0.1", self["metrics-port"]

    def _checkFiles(self) -> None:
        """
        Files that are written, each to a place of its own.
        """
        taken: dict[str, str] = {}
        for long in ("report", "csv", "hlog", "junit"):
            path = self[long]
            if path == "-" and self.daemonized:
                raise usage.UsageError(
                    f"--{long}: '-' is not usable by a daemon, it has no standard output: expected a file"
                )
            if path == "-" and (option := self._logElsewhere()) is not None:
                raise usage.UsageError(
                    f"--{long}: '-' is not usable, the log is on standard output: expected a file, or {option} before "
                    f"{self.tool}"
                )
            if path is not None and path in taken:
                where = "standard output" if path == "-" else path
                raise usage.UsageError(f"--{taken[path]} and --{long} exclude each other: both are to be in {where}")
            taken[path] = long

    def _logElsewhere(self) -> str | None:
        """
        What would put the log elsewhere, if twistd or twist has it on standard output.
        """
        parent = getattr(self, "parent", None)
        if parent is None:
            return None
        if "nodaemon" in parent:
            elsewhere = parent.get("syslog") or parent.get("logger") or parent.get("logfile") not in (None, "", "-")
            return None if elsewhere else "--logfile=FILE"
        return "--log-file=FILE" if parent.get("logFile") in (sys.stdout, sys.__stdout__) else None

    def _checkLoad(self) -> None:
        """
        What says how much, and when.
        """
        stages = self["stages"]
        if stages is not None:
            ofSessions = self["stages-of"] == "sessions"
            asStages = Parameter("stages", None, "", None, "", lambda text: arguments.stages(text, ofSessions))
            self["stages"] = stages = self.converted(asStages, stages)
            length = sum(seconds for seconds, _ in stages)
            if self["warmup"] and self["warmup"] >= length:
                raise usage.UsageError(
                    f"--warmup: {self['warmup']:g} seconds are not usable: expected less than the {length:g} seconds "
                    "of --stages"
                )
        searched = self["find-rate"] is not None
        if searched:
            self._excluded(
                "--find-rate", "it has steps of its own", "stages", "duration", "message-count", "warmup", "ramp-up"
            )
        else:
            self._needing("--find-rate", "hold-step")
        if self["rate"] is not None and not (self["duration"] or self["message-count"] or searched):
            raise usage.UsageError("--rate needs an end: expected --duration TIME or -m N along with it")
        openLoop = self["rate"] is not None or searched or (stages is not None and self["stages-of"] == "rate")
        if openLoop:
            schedule = "--find-rate" if searched else "--stages" if self["rate"] is None else "--rate"
            self._excluded(schedule, "the schedule says when", "fixed-interval", "random-interval", "ramp-up")
        else:
            self._needing("--rate, --stages or --find-rate", "max-late", "arrivals")
            for threshold in self["threshold"]:
                if threshold.needsSchedule:
                    raise usage.UsageError(
                        f"--threshold: {threshold.text!r} is not usable: expected --rate or --stages along with it"
                    )
        length = self["duration"] and self["duration"] + (self["warmup"] or 0)
        if length and self["ramp-up"] and self["ramp-up"] >= length:
            shown = "--warmup and --duration" if self["warmup"] else "--duration"
            raise usage.UsageError(
                f"--ramp-up: {self['ramp-up']:g} seconds are not usable: expected less than the {length:g} seconds of "
                f"{shown}, or not all sessions join"
            )
        if stages is None:
            self._needing("--stages", "stages-of")
        elif not openLoop:
            self._excluded("--stages", "it says when sessions join", "ramp-up")

    def _checkTraffic(self) -> None:
        """
        What says what is sent.
        """
        if self["messages"] is None:
            self._needing("--messages", "pick")
        elif self["pick"] == "weighted":
            try:
                self["messages"].weights()
            except ValueError as e:
                raise usage.UsageError(f"--pick: 'weighted' is not usable: {e}")
        if self["message-file"] is not None:
            self._excluded("-F (--message-file)", "it has headers of its own", "header")
        if self["old-mode"]:
            self._excluded("-o (--old-mode)", "it generates no headers", "header")
        if self["subject"] is not None and "subject" in map(headers.name, self["header"]):
            raise Exclusion(
                "-S (--subject) and --header 'Subject:' exclude each other: give one of them", "subject", "header"
            )
        several = self["recipient-count"] is not None or self["recipients-distribution"] is not None
        if not self["number-recipients"] and (self["recipients"] is not None or not several):
            self._needing("-N (--number-recipients), or -r without --recipients", "number-start", "number-width")
        if self["recipient"] == b"":
            self._excluded("-t (--recipient) ''", "expected an address", "domains")

    def _checkTogether(self, goal: destination.Destination) -> None:
        """
        What depends on several options.
        """
        if self["old-mode"]:
            for option in ("pipelining", "chunking"):
                if self[option] in ("auto", "require"):
                    raise Exclusion(
                        f"-o (--old-mode) and --{option} {self[option]!r} exclude each other: it says no EHLO",
                        *("old-mode", option),
                    )
            self._excluded("-o (--old-mode)", "it says no EHLO", "esmtp", "auth", "xclient", *_PARAMETERS)
            self._excluded("-o (--old-mode)", "it says no HELO", "helo")
            if self["tls"] == "starttls":
                raise Exclusion(
                    "-o (--old-mode) and --tls 'starttls' exclude each other: it says no EHLO", "old-mode", "tls"
                )
        if self["lmtp"]:
            self._excluded("-L (--lmtp)", "LHLO asks for extensions, too", "esmtp")
        self._checkExercise()
        if self["chunking"] == "off":
            self._needing("--chunking", "chunk-size")
        if self["window"] > 1:
            self._checkWindow()
        self._checkTLS(goal)
        if self["proxy-protocol"] is None:
            self._needing("--proxy-protocol", "proxy-source")
        if isinstance(goal, destination.UNIXDestination):
            self._excluded("a UNIX socket", "it has no addresses", "bind", "mx")
        if isinstance(goal, destination.HostDestination) and destination.isAddress(goal.host):
            self._excluded("an address", "it needs a domain", "mx")
        if isinstance(goal, destination.SinkDestination):
            self._excluded("sink:", "it needs a domain", "mx")
        if not self["mx"]:
            self._needing("--mx", "dns-server")
        if not self["threshold"]:
            self._needing("--threshold", "abort-on-threshold")
        if self["auth"] is None:
            self._needing("--auth", "auth-user", "auth-password-file", "auth-users")

    def _checkExercise(self) -> None:
        """
        Where no mail is sent, what only mail has is of no use; and the server would be asked for its extensions.
        """
        if self["connect-only"] and self["noop"]:
            raise Exclusion(
                "--connect-only and --noop exclude each other: expected one of them", "connect-only", "noop"
            )
        if self["connect-only"]:
            self._excluded(
                "--connect-only", "each connection counts once", "dont-disconnect", "messages-per-connection"
            )
        exercise = "--connect-only" if self["connect-only"] else "--noop" if self["noop"] else None
        if exercise is not None:
            self._excluded(exercise, "it sends no mail", *_OF_MAIL, *_PARAMETERS)
            if self["window"] > 1:
                raise Exclusion(f"--window and {exercise} exclude each other: it sends no mail", "window", exercise[2:])

    def _checkWindow(self) -> None:
        """
        What must be so for a message to be sent before the reply to the one before it.
        """
        for needed in ("pipelining", "chunking"):
            if self[needed] == "off":
                self._needing(f"--{needed}", "window")
        perConnection = self["messages-per-connection"]
        if (perConnection or (2 if self["dont-disconnect"] else 1)) < 2:
            raise Exclusion(
                "--window needs -d (--dont-disconnect), or --messages-per-connection of more than 1",
                *("window", "dont-disconnect" if perConnection is None else "messages-per-connection"),
            )
        self._excluded("--window", "with pauses nothing is sent ahead", "fixed-interval", "random-interval")

    def _checkTLS(self, goal: destination.Destination) -> None:
        """
        What TLS is to be like. Whether files and ciphers can be used is found out with the plan.
        """
        if self["tls"] == "off":
            self._needing("--tls starttls or implicit", *_TLS)
        if not self["tls-verify"]:
            self._needing("--tls-verify", "tls-ca")
        elif self["tls-server-name"] is None and not isinstance(goal, destination.HostDestination):
            shown = "a UNIX socket" if isinstance(goal, destination.UNIXDestination) else "sink:"
            raise usage.UsageError(
                f"--tls-verify needs a name to check, and {shown} has none: expected --tls-server-name NAME along with "
                "it"
            )
        least, most = self["tls-min"], self["tls-max"]
        if least is not None and most is not None and least > most:
            raise Exclusion(
                f"--tls-min and --tls-max exclude each other: expected a minimum of at most {most}, not {least}",
                *("tls-min", "tls-max"),
            )
        certificate = self["tls-cert"]
        if certificate is None:
            self._needing("--tls-cert", "tls-key")
        elif self["tls-key"] is None:
            with open(certificate, "rb") as file:
                if b"PRIVATE KEY-----" not in file.read():
                    raise usage.UsageError(
                        f"--tls-cert: {certificate!r} is not usable: there is no key in it: expected --tls-key FILE "
                        "along with it"
                    )

    def _needing(self, needed: str, *longs: str) -> None:
        """
        None of these options may be given, because another one isn't.

        @param needed: for people: the option that is missing, and maybe others.
        """
        for long in longs:
            if self[long] != self.defaults[long]:
                raise Exclusion(f"--{long} needs {needed}", long, *re.findall(r"--([a-z0-9-]+)", needed)[:1])

    def _excluded(self, cause: str, why: str, *longs: str) -> None:
        """
        None of these options may be given.
        """
        for long in longs:
            if self[long] != self.defaults[long]:
                # A cause that is no option is a kind of destination.
                causes = re.findall(r"--([a-z0-9-]+)", cause) or ["destination"]
                raise Exclusion(f"--{long} and {cause} exclude each other: {why}", long, *causes)

    def _logins(self) -> tuple[Credentials, ...]:
        """
        Who is to log in.
        """
        if self["auth"] is None:
            return ()
        if self["auth-users"] is not None:
            self._excluded("--auth-users", "it has the users and their passwords", "auth-user", "auth-password-file")
            return tuple(self["auth-users"])
        if self["auth-user"] is None:
            raise usage.UsageError("--auth needs a user: expected --auth-user USER, or --auth-users FILE")
        password = self["auth-password-file"] or os.environ.get(PASSWORD_VARIABLE)
        if not password:
            raise usage.UsageError(
                f"--auth-user needs a password: expected --auth-password-file FILE, or {PASSWORD_VARIABLE} in the "
                "environment"
            )
        return (Credentials(self["auth-user"], password),)

    def _plan(self, goal: destination.Destination) -> SourcePlan:
        parameters = Parameters(
            eightBitMIME=bool(self["8bitmime"]),
            smtpUTF8=bool(self["smtputf8"]),
            size=bool(self["size"]),
            notify=self["dsn-notify"],
            ret=self["dsn-ret"],
            envid=self["dsn-envid"],
            requireTLS=bool(self["requiretls"]),
            mtPriority=self["mt-priority"],
            deliverBy=self["deliverby"],
        )
        tlsSettings = TLSSettings(
            verify=bool(self["tls-verify"]),
            ca=self["tls-ca"],
            serverName=self["tls-server-name"],
            minimum=self["tls-min"],
            maximum=self["tls-max"],
            ciphers=self["tls-ciphers"],
            certificate=self["tls-cert"],
            key=self["tls-key"],
            resume=bool(self["tls-resume"]),
        )
        return SourcePlan(
            destination=goal,
            family=self["family"],
            myhostname=self["myhostname"],
            sender=self["sender"],
            recipient=self["recipient"],
            recipientCount=self["recipient-count"],
            numberRecipients=bool(self["number-recipients"]),
            recipientNumbering=self["recipient-numbering"],
            messageCount=self["message-count"],
            sessionCount=self["session-count"],
            keepConnections=bool(self["dont-disconnect"]),
            lmtp=bool(self["lmtp"]),
            oldMode=bool(self["old-mode"]),
            tolerant=bool(self["dont-abort"]),
            subject=self["subject"],
            length=self["length"],
            message=self["message-file"],
            headers=self["header"],
            numberStart=self["number-start"],
            numberWidth=self["number-width"],
            messages=self["messages"],
            pick=self["pick"],
            sizeDistribution=self["size-distribution"],
            recipientsDistribution=self["recipients-distribution"],
            senders=self["senders"],
            recipients=self["recipients"],
            domains=self["domains"],
            seed=self["seed"],
            fixedInterval=self["fixed-interval"],
            randomInterval=self["random-interval"],
            duration=self["duration"],
            warmUp=self["warmup"] or 0.0,
            rampUp=self["ramp-up"] or 0.0,
            rate=self["rate"],
            arrivals=self["arrivals"],
            stages=self["stages"] or (),
            stagesOf=self["stages-of"],
            maxLate=self["max-late"],
            findRate=self["find-rate"],
            holdStep=self["hold-step"] or 10.0,
            connectAttempts=self["connect-count"],
            connectParallelism=self["connect-parallelism"],
            connectTimeout=self["connect-timeout"],
            timeout=self["timeout"],
            grace=self["grace"],
            windowSize=self["window-size"],
            esmtp=bool(self["esmtp"]),
            pipelining=self["pipelining"],
            chunking=self["chunking"],
            chunkSize=self["chunk-size"],
            window=self["window"],
            parameters=parameters,
            tls=self["tls"],
            tlsSettings=tlsSettings,
            mechanisms=self["auth"] or (),
            logins=self._logins(),
            xclient=self["xclient"] or (),
            proxyProtocol=self["proxy-protocol"],
            proxySources=self["proxy-source"] or (),
            bind=self["bind"] or (),
            mx=bool(self["mx"]),
            dnsServer=self["dns-server"],
            helo=self["helo"],
            messagesPerConnection=self["messages-per-connection"],
            exercise="connect" if self["connect-only"] else "noop" if self["noop"] else "mail",
            hold=self["hold"] or 0.0,
            thresholds=self["threshold"],
            abortOnThreshold=bool(self["abort-on-threshold"]),
            trace=self["verbose"],
            command=self.command,
        )
