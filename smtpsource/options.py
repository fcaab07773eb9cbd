"""
The command line of smtp-source. Every check of a user's wishes is made here, before anything is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import ClassVar

from twisted.python import usage

from smtpsource import arguments
from smtpsource.commandline import OTHER, CommandLine, Flag, Group, Parameter, flags, parameters
from smtpsource.net import destination
from smtpsource.net.limits import raiseFileLimit
from smtpsource.plan import SourcePlan, machineName
from smtpsource.report.presentation import Presentation


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
        "2 the command line can't be used.\n"
        "Example: smtpsource -d -s 20 -m 10000 sink:"
    )

    groups: ClassVar[Sequence[Group]] = (
        (
            "Load",
            (
                Parameter("message-count", "m", "N", "1", "messages to send, over all sessions", arguments.count),
                Parameter("session-count", "s", "N", "1", "sessions in parallel", arguments.count),
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
                    "grace",
                    None,
                    "SECONDS",
                    "5",
                    "when the run is stopped, give messages on their way this long to end",
                    arguments.secondsOrZero,
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
        Exactly one destination, after all options.
        """
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
        self.oneOf("length", "message-file")
        self.oneOf("fixed-interval", "random-interval")
        super().postOptions()
        try:
            goal = destination.parse(self["destination"], self["family"])
        except ValueError as e:
            raise usage.UsageError(f"destination {self['destination']!r} is not usable: {e}")
        if self["myhostname"] is None:
            try:
                self["myhostname"] = machineName()
            except ValueError as e:
                raise usage.UsageError(f"this machine's name {socket.gethostname()!r} is not usable: {e}; use -M NAME")
        if self["report"] == "-" and self.daemonized:
            raise usage.UsageError(
                "--report: '-' is not usable by a daemon, it has no standard output: expected a file"
            )
        sessions = min(self["session-count"], self["message-count"])
        room = raiseFileLimit()
        if sessions > room:
            raise usage.UsageError(
                f"-s (--session-count): {self['session-count']} sessions need more open files than this process may "
                f"have: expected at most {room}, or a higher limit (ulimit -Hn)"
            )
        if self["old-mode"] and (self["esmtp"] or self["pipelining"] in ("auto", "require")):
            other = "--esmtp" if self["esmtp"] else f"--pipelining {self['pipelining']!r}"
            raise usage.UsageError(f"-o (--old-mode) and {other} exclude each other: it says no EHLO")
        self.plan = SourcePlan(
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
            fixedInterval=self["fixed-interval"],
            randomInterval=self["random-interval"],
            connectAttempts=self["connect-count"],
            connectParallelism=self["connect-parallelism"],
            connectTimeout=self["connect-timeout"],
            timeout=self["timeout"],
            grace=self["grace"],
            windowSize=self["window-size"],
            esmtp=bool(self["esmtp"]),
            pipelining=self["pipelining"],
            trace=self["verbose"],
            command=self.command,
        )
        self.presentation = Presentation(
            self.tool, bool(self["counter"]), bool(self["quiet"]), self["report"], self.daemonized
        )
        self.chooseReactor()
