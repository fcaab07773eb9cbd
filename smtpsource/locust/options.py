"""
What to do, as options of Locust: on its command line, in its files, and in the form of its web UI.
"""

from __future__ import annotations

import shlex
from argparse import Namespace
from typing import Any, NamedTuple


class Field(NamedTuple):
    """
    An option of ours that has one of Locust's of its own.

    @ivar name: of the option of Locust; in the form of the web UI, with blanks for hyphens.
    @ivar option: ours.
    @ivar meta: what stands for its value.
    @ivar help: one line.
    """

    name: str
    option: str
    meta: str
    help: str


#: The commonest.
FIELDS = (
    Field("sessions", "-s", "N", "smtpsource: sessions, on all workers together"),
    Field("messages", "-m", "N", "smtpsource: messages, of all workers together"),
    Field("duration", "--duration", "TIME", "smtpsource: for how long messages are started"),
    Field("rate", "--rate", "RATE", "smtpsource: messages per second that are wanted, of all workers together"),
    Field("report", "--report", "FILE", "smtpsource: its report, as JSON, a file on the master"),
)

#: Where to: an option of Locust's own.
DESTINATION = "host"

#: All else that smtpsource takes.
OTHERS = "smtpsource-options"

#: What of that says when a load ends, or may do so.
_ENDS = ("-m", "--message-count", "--duration", "--stages", "--find-rate", "--scenario")

#: For what Locust takes all interfaces: nobody has to say who he is there, and whoever is there can do much.
LOOPBACK = "127.0.0.1"


def declare(parser: Any) -> None:
    """
    Add them to Locust's own; and let it listen on the loopback only, where nothing else is said.

    @param parser: a C{LocustArgumentParser}.
    """
    parser.set_defaults(master_bind_host=LOOPBACK, web_host=LOOPBACK)
    # Not in a group: then Locust would not have them in its form.
    for field in FIELDS:
        parser.add_argument(f"--{field.name}", metavar=field.meta, default="", help=field.help)
    parser.add_argument(
        f"--{OTHERS}",
        metavar="OPTIONS",
        default="",
        help="smtpsource: more of its options, as on its command line: -d --pipelining require. "
        "Users and spawn rate, above, are not the load",
    )


def settle(given: Namespace) -> bool:
    """
    Where Locust's own end is the only one that a load has, make it one of ours: so it is done then, and not stopped.

    @param given: what was said, in the command line or the form; may be changed.
    @return: was it changed?
    """
    from locust.util.timespan import parse_timespan  # what is told by --help does without Locust

    others = _said(given, OTHERS).split()
    hasEnd = _said(given, "messages") or _said(given, "duration") or any(word.startswith(_ENDS) for word in others)
    runTime = _said(given, "run_time")
    if hasEnd or not runTime:
        return False
    try:
        given.duration = f"{parse_timespan(runTime)}s"
    except ValueError:
        return False  # Locust says what is wrong with it
    given.run_time = None
    return True


def reportOf(given: Namespace) -> str:
    """
    The path of the report; empty if there is to be none.
    """
    return _said(given, "report")


def commandLine(given: Namespace) -> list[str]:
    """
    The command line of smtpsource that was meant.

    @raise ValueError: there is none, as one line.
    """
    try:
        words = shlex.split(_said(given, OTHERS))
    except ValueError as e:
        raise ValueError(f"--{OTHERS}: {_said(given, OTHERS)!r} is not usable: {str(e).lower()}")
    for field in FIELDS:
        if value := _said(given, field.name):
            words += [field.option, value]
    destination = _said(given, DESTINATION)
    if not destination and not any(word.startswith("--scenario") for word in words):
        raise ValueError(f"no destination: expected --{DESTINATION} [inet:]host[:port], or one in the form")
    # What looks like an option is one, wherever it stands: that is told by smtpsource itself.
    return [*words, *filter(None, [destination])]


def _said(given: Namespace, name: str) -> str:
    value = getattr(given, name.replace("-", "_"), None)
    return "" if value is None else str(value).strip()
