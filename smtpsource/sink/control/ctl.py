"""
C{smtpsink ctl}: watch and steer a sink that runs with C{--control}.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import ClassVar, NoReturn

from twisted.python import usage

from smtpsource.cli import words as cliwords
from smtpsource.cli.commandline import CommandLine
from smtpsource.printable import printable
from smtpsource.process.streams import sayOnce
from smtpsource.sink.control.client import Client, ControlError
from smtpsource.sink.control.commands import COMMANDS, Command, Unusable
from smtpsource.sink.control.where import parseControl, tokenFor
from smtpsource.values import kinds, numbers
from smtpsource.values.option import Flag, Group, ValueOption
from smtpsource.values.serving import Where

#: The environment variable that says where the sink is.
VARIABLE = "SMTPSINK_CONTROL"


def _where(text: str) -> Where:
    where = parseControl(text)
    if not where.path and not where.port:
        raise ValueError("expected the port that the sink has told, not 0")
    return where


_number = numbers.wholeNumber(0)


class CtlOptions(CommandLine):
    """
    What is to be done.

    @ivar chosen: the command.
    @ivar arguments: the words after it.
    """

    name = "smtpsink ctl"
    synopsis = "smtpsink ctl [options] COMMAND ..."
    about = "Watch and steer a sink that runs with --control."
    closing = (
        "Rules: rules get; rules set FILE (TOML or JSON; - is standard input); rules add EXPR (one rule, as for\n"
        "--rule); rules remove NAME; rules clear\n"
        "Messages: messages (a line of JSON for each); message N; delete [N]\n"
        "Sessions: transcripts; transcript N; transcripts clear\n"
        "The sink: counters; pause; resume; drop (all connections); mark TEXT;\n"
        "events (a line of JSON for each, until it ends)\n"
        "Exit status: 0 it was done; 1 the sink can't be asked, or refuses, or there are fewer messages than --count;\n"
        "2 the command line can't be used.\n"
        "Example: smtpsink ctl --control 8025 messages --recipient '*@example.com' --wait 10s --count 3"
    )
    anywhere = True
    wordsAfter = tuple(dict.fromkeys(name.partition(" ")[0] for name in COMMANDS))
    groups: ClassVar[Sequence[Group]] = (
        (
            "Which sink",
            (
                ValueOption(
                    "control",
                    None,
                    "WHERE",
                    None,
                    f"[HOST:]PORT or unix:PATH (default: {VARIABLE} in the environment)",
                    _where,
                ),
                ValueOption(
                    "token-file",
                    None,
                    "FILE",
                    None,
                    "its first line is the token (default: SMTPSINK_CONTROL_TOKEN in the environment)",
                    kinds.readable.parse,
                    secret=True,
                ),
            ),
        ),
        (
            "Which messages",
            (
                ValueOption("recipient", None, "GLOB", None, "those for such a recipient, such as *@example.com"),
                ValueOption("sender", None, "GLOB", None, "of such a sender"),
                ValueOption("subject", None, "GLOB", None, "with such a subject"),
                ValueOption("id", None, "GLOB", None, "with such a Message-Id"),
                ValueOption("after", None, "N", None, "with numbers above this one", _number),
                ValueOption("wait", None, "TIME", None, "wait until there are so many", numbers.timeOrZero),
                ValueOption("count", None, "N", None, "how many to wait for (default: 1)", kinds.count.parse),
                Flag("raw", None, "message: its content, as it came"),
            ),
        ),
        ("Where a rule goes", (Flag("first", None, "rules add: before the others, not behind them"),)),
    )

    chosen: Command
    arguments: Sequence[str]

    def parseOrExit(self, arguments: Sequence[str] | None) -> None:
        """
        See L{CommandLine.parseOrExit}.
        """
        try:
            self.parseOptions(arguments)
        except usage.UsageError as e:
            self.refuse(str(e), self.name)

    def parseArgs(self, *words: str) -> None:
        """
        The command and what it is about.
        """
        if not words:
            raise usage.UsageError(f"no command: expected one of {', '.join(self.wordsAfter)}")
        for length in (2, 1):
            name = " ".join(words[:length])
            if name in COMMANDS:
                break
        else:
            self._refuseCommand(words)
        self.chosen, self.arguments = COMMANDS[name], words[len(name.split()) :]
        least, most = self.chosen.words
        if not least <= len(self.arguments) <= most:
            raise usage.UsageError(f"{len(self.arguments)} words after {name!r}: expected {name} {self.chosen.about}")
        for option in self.given() - {"control", "token-file"} - self.chosen.options:
            raise usage.UsageError(f"--{option} is not for {name!r}")

    def _refuseCommand(self, words: Sequence[str]) -> NoReturn:
        known = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
        if known:
            raise usage.UsageError(f"{' '.join(words[:2])!r}: expected one of {', '.join(known)}")
        close = [name.lstrip("-") for name in cliwords.nearest(words[0], self.wordsAfter)]
        raise usage.UsageError(
            f"{words[0]!r} is no command: expected one of {', '.join(self.wordsAfter)}{cliwords.didYouMean(close)}"
        )

    def client(self) -> Client:
        """
        Who asks the sink.

        @raise usage.UsageError: it is not said which one, or with what token.
        """
        path = self["token-file"]
        try:
            return Client(self["control"] or self._fromEnvironment(), tokenFor(path))
        except ValueError as e:
            raise usage.UsageError(str(e) if path is None else f"--token-file: {path!r} is not usable: {e}")

    def _fromEnvironment(self) -> Where:
        text = os.environ.get(VARIABLE)
        if not text:
            raise usage.UsageError(f"no sink: expected --control WHERE, or {VARIABLE} in the environment")
        try:
            return _where(text)
        except ValueError as e:
            raise usage.UsageError(f"{VARIABLE} in the environment: {text!r} is not usable: {e}")


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{ctl}.
    @raise SystemExit: always: 0 if it was done, 1 if not, 2 if the command line can't be used.
    """
    # There is nothing to be ended in order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    options = CtlOptions()
    options.parseOrExit(arguments)
    try:
        raise SystemExit(options.chosen.run(options.client(), options, options.arguments))
    except (usage.UsageError, Unusable) as e:
        options.refuse(printable(str(e)), options.name)
    except BrokenPipeError:
        raise SystemExit(0)
    except ControlError as e:
        problem = str(e)
    except OSError as e:
        problem = f"can't write to standard output: {e.strerror}"
    sayOnce(sys.stderr, f"{options.tool}: {problem}\n")
    raise SystemExit(1)
