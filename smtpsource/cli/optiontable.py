"""
The options of smtp-source: their names, what stands for their values, their help and what they are converted by.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from smtpsource import credentials
from smtpsource.cli.commandline import OTHER, Flag, Group, Parameter
from smtpsource.credentials import PASSWORD_VARIABLE, readPassword, readUsers
from smtpsource.measure import thresholds
from smtpsource.messages import addresses, corpus, headers, recipients, sizes
from smtpsource.messages.stored import PICKS
from smtpsource.net.tls import settings
from smtpsource.net.tls.settings import ciphers, serverName
from smtpsource.pacing.schedule import ARRIVALS
from smtpsource.smtp import commands, parameters, proxyprotocol, xclient
from smtpsource.values import files, inputs, names, numbers


def _oneLine(text: str) -> bytes:
    return names.oneLine(os.fsencode(text))


def _wholeMessage(text: str) -> bytes:
    path = files.readableFile(text)
    try:
        message = inputs.read(path, inputs.MESSAGE)
    except OSError as e:
        raise ValueError(f"expected a readable file: {e.strerror}")
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
    names.oneLine(os.fsencode(text))
    if not text:
        raise ValueError("expected a user, not an empty text")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= 65535):
        raise ValueError("expected a port from 1 to 65535, or 0 for any that is free")
    return int(text)


def _interface(text: str) -> str:
    try:
        return names.ipAddress(text)
    except ValueError:
        raise ValueError("expected an address of this machine, such as 127.0.0.1, ::1 or, for all, 0.0.0.0")


def _upper(convert: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: convert(text.upper())


#: All of them, by the heading they stand under.
GROUPS: Sequence[Group] = (
    (
        "Load",
        (
            Parameter(
                "scenario",
                None,
                "FILE",
                None,
                "take the options that are not given here, and the destination, from this TOML file",
                files.readableFile,
            ),
            Parameter(
                "message-count",
                "m",
                "N",
                None,
                "messages to send, over all sessions (default: 1, or no limit with --duration or --stages)",
                numbers.count,
            ),
            Parameter("session-count", "s", "N", "1", "sessions in parallel; with a rate, at most", numbers.count),
            Flag("dont-disconnect", "d", "send all messages of a session over one connection"),
            Parameter(
                "fixed-interval",
                "w",
                "SECONDS",
                None,
                "wait between a session's messages",
                numbers.seconds,
            ),
            Parameter(
                "random-interval",
                "R",
                "SECONDS",
                None,
                "wait up to this long instead, drawn anew each time",
                numbers.seconds,
            ),
            Parameter("duration", None, "TIME", None, "send for so long, such as 30s, 5m or 1h30m", numbers.duration),
            Parameter("warmup", None, "TIME", None, "send for so long before that, unmeasured", numbers.duration),
            Parameter("ramp-up", None, "TIME", None, "sessions join evenly over this time", numbers.duration),
            Parameter(
                "rate",
                None,
                "RATE",
                None,
                "open loop: start so many messages, 500/s, 30/m or 10/h, whatever the server does; latency counts "
                "from the time that a message was wanted",
                numbers.rate,
            ),
            Parameter(
                "arrivals",
                None,
                "HOW",
                "constant",
                "with a rate: constant, or poisson, independently of each other",
                names.oneOf(*ARRIVALS),
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
                names.oneOf("rate", "sessions"),
            ),
            Parameter(
                "max-late",
                None,
                "TIME",
                None,
                "with a rate: drop a message that can't start within this time (default: none is dropped)",
                numbers.duration,
            ),
            Parameter(
                "catch-up",
                None,
                "TIME",
                None,
                "with a rate: when the time is over, start what is overdue for so long, and drop the rest (default: a "
                "fifth of the time, at least 5s)",
                numbers.duration,
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
                numbers.duration,
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
                numbers.count,
            ),
            Flag("number-recipients", "N", "give every recipient of the run its own number"),
            Parameter(
                "recipient-numbering",
                None,
                "WAY",
                "prefix",
                "1user@domain as before Postfix 3.9 (prefix), or user0@domain as since (suffix)",
                recipients.numbering,
            ),
            Parameter("subject", "S", "TEXT", None, "a Subject header", _oneLine),
            Parameter(
                "length",
                "l",
                "BYTES",
                None,
                "body size, without headers (default: 4 short lines)",
                numbers.size,
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
                numbers.wholeNumber(0),
            ),
            Parameter(
                "number-width",
                None,
                "N",
                None,
                "fill numbers up with zeros to so many digits",
                numbers.wholeNumber(1, recipients.WIDEST),
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
                names.oneOf(*PICKS),
            ),
            Parameter(
                "size-distribution",
                None,
                "DIST",
                None,
                "draw the size of each body: fixed:4k, uniform:1k-100k, lognormal:median=8k,sigma=1.5 or "
                "empirical:FILE, with lines of a size and its weight",
                lambda text: sizes.parse(text, numbers.size),
            ),
            Parameter(
                "recipients-distribution",
                None,
                "DIST",
                None,
                "draw the number of recipients of each message likewise, such as uniform:1-10",
                lambda text: sizes.parse(text, numbers.count),
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
                numbers.wholeNumber(0),
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
                names.hostname,
            ),
            Parameter("helo", None, "TEXT", None, "say this in HELO, EHLO and LHLO, and NAME elsewhere", _helo),
            Flag("lmtp", "L", "speak LMTP"),
            Flag("old-mode", "o", "say no HELO, and send no generated headers"),
            Flag(
                "dont-abort",
                "A",
                "count refusals and faults and go on; without it the first one ends the run",
            ),
            Parameter("timeout", None, "SECONDS", "300", "wait this long for each reply", numbers.seconds),
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
                commands.extensionMode,
            ),
            Parameter(
                "chunking",
                None,
                "MODE",
                "off",
                "send content by BDAT, not DATA; with --pipelining it goes along with its envelope; the same modes",
                commands.extensionMode,
            ),
            Parameter("chunk-size", None, "BYTES", None, "with --chunking, cut content into chunks", numbers.size),
            Parameter(
                "window",
                None,
                "N",
                "1",
                "with --pipelining, --chunking and -d: transactions under way on each connection",
                numbers.count,
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
                settings.tlsMode,
            ),
            Flag("tls-verify", None, "check the server's certificate"),
            Parameter(
                "tls-ca",
                None,
                "FILE",
                None,
                "trust these CAs, PEM (default: the system's)",
                files.readableFile,
            ),
            Parameter(
                "tls-server-name",
                None,
                "NAME",
                None,
                "the name to ask for and to check (default: the destination's)",
                serverName,
            ),
            Parameter("tls-min", None, "VERSION", None, "1.0, 1.1, 1.2 or 1.3", settings.tlsVersion),
            Parameter("tls-max", None, "VERSION", None, "likewise", settings.tlsVersion),
            Parameter("tls-ciphers", None, "LIST", None, "ciphers to offer, as OpenSSL names them", ciphers),
            Parameter(
                "tls-cert",
                None,
                "FILE",
                None,
                "our certificate, with its chain, PEM",
                files.readableFile,
                secret=True,
            ),
            Parameter(
                "tls-key",
                None,
                "FILE",
                None,
                "its key (default: in the same file)",
                files.readableFile,
                secret=True,
            ),
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
                f"log in with the first of these that is offered: {','.join(credentials.MECHANISMS)}",
                credentials.mechanisms,
                secret=True,
            ),
            Parameter("auth-user", None, "USER", None, "who to log in as", _user, secret=True),
            Parameter(
                "auth-password-file",
                None,
                "FILE",
                None,
                f"has the password, or token, in its first line (default: it is in {PASSWORD_VARIABLE})",
                readPassword,
                secret=True,
            ),
            Parameter(
                "auth-users",
                None,
                "FILE",
                None,
                "lines of user:password, used in turn by all connections",
                readUsers,
                secret=True,
            ),
            Parameter(
                "auth-scram-iterations",
                None,
                "N",
                None,
                f"the most iterations that a server may ask for in SCRAM (default: {credentials.SCRAM_ITERATIONS})",
                numbers.count,
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
                parameters.notify,
            ),
            Parameter("dsn-ret", None, "WHAT", None, "MAIL with RET: FULL or HDRS", _upper(parameters.ret)),
            Parameter("dsn-envid", None, "ID", None, "MAIL with ENVID, the envelope's id", parameters.envelopeId),
            Flag("requiretls", None, "MAIL with REQUIRETLS, which servers offer within TLS only"),
            Parameter("mt-priority", None, "N", None, "MAIL with MT-PRIORITY, from -9 to 9", parameters.priority),
            Parameter(
                "deliverby",
                None,
                "SECONDS",
                None,
                "MAIL with BY: deliver within; ;N or ;R may follow",
                parameters.deliverBy,
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
                numbers.count,
            ),
            Parameter(
                "connect-parallelism",
                None,
                "N",
                "100",
                "connections in the making at once",
                numbers.count,
            ),
            Parameter(
                "connect-timeout",
                None,
                "SECONDS",
                "30",
                "wait this long for each address to answer",
                numbers.seconds,
            ),
            Parameter(
                "messages-per-connection",
                None,
                "N",
                None,
                "use each connection for N messages (default: 1, or all with -d)",
                numbers.count,
            ),
            Flag("connect-only", None, "send no mail: -m counts connections, greeted and logged in to"),
            Flag("noop", None, "send NOOP in place of each message"),
            Parameter(
                "hold",
                None,
                "SECONDS",
                None,
                "keep each connection open this long before its QUIT",
                numbers.seconds,
            ),
            Parameter(
                "bind",
                None,
                "ADDRS",
                None,
                "connect from these addresses in turn, separated by commas",
                names.ipAddresses,
            ),
            Parameter(
                "proxy-protocol",
                None,
                "VERSION",
                None,
                "begin with the header of HAProxy's PROXY protocol, v1 or v2",
                proxyprotocol.proxyProtocol,
            ),
            Parameter(
                "proxy-source",
                None,
                "ADDRS",
                None,
                "the clients it names, in turn (default: a different one for each connection)",
                names.ipAddresses,
            ),
            Flag("mx", None, "the host is a domain: connect to its mail exchangers"),
            Parameter(
                "dns-server",
                None,
                "ADDR",
                None,
                "with --mx, ask the name server there (default: the system's)",
                names.dnsServer,
            ),
            Parameter(
                "window-size",
                "T",
                "BYTES",
                None,
                "socket buffers (default: the system's)",
                numbers.size,
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
                files.writableFile,
            ),
            Parameter(
                "csv",
                None,
                "FILE",
                None,
                "write there what happened in each second, as values separated by commas; - likewise",
                files.writableFile,
            ),
            Parameter(
                "hlog",
                None,
                "FILE",
                None,
                "write the latencies of each second there, as a log for HdrHistogram's tools; - likewise",
                files.writableFile,
            ),
            Parameter(
                "junit",
                None,
                "FILE",
                None,
                "write there as JUnit's XML whether all was accepted, and the thresholds; - likewise",
                files.writableFile,
            ),
            Parameter(
                "grace",
                None,
                "SECONDS",
                "5",
                "when the run is stopped, give messages on their way this long to end",
                numbers.secondsOrZero,
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
                names.oneOf("auto", "on", "off"),
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
