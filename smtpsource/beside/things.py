"""
What can be watched beside a run, as users say it, and whether it is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from smtpsource.beside import cgroups, processes, queues
from smtpsource.beside.looks import namesOf
from smtpsource.printable import printable

_EXPECTED = (
    "expected pid:N, unit:NAME, postfix-queue:DIR or prometheus:http://HOST[:PORT]/PATH#METRIC, with NAME= before it "
    "or not"
)

#: A name that is given to one, and the rest.
_NAMED = re.compile(r"(?:([A-Za-z0-9_.@-]{1,40})=)?([a-z-]+):(.*)", re.DOTALL)

#: A metric, and its labels.
_METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?", re.DOTALL)
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"\s*(?:,|$)')

#: The longest text that becomes a name of a figure.
_LONGEST = 200


class Thing(NamedTuple):
    """
    Something to watch.

    @ivar name: what its figures are called; where it has several, what they are comes after a blank.
    @ivar kind: C{"pid"}, C{"unit"}, C{"postfix-queue"} or C{"prometheus"}.
    @ivar where: what is to be known to look at it, as JSON takes it.
    """

    name: str
    kind: str
    where: Mapping[str, Any]


def thing(text: str) -> Thing:
    """
    What a text says, if it is there. This may take some seconds.

    @raise ValueError: it is nothing that can be watched; the text is one line.
    """
    match = _NAMED.fullmatch(text)
    if match is None or match[2] not in _KINDS or not match[3]:
        raise ValueError(_EXPECTED)
    given, kind, rest = match.groups()
    name, where = _KINDS[kind](rest)
    return Thing(given or name, kind, where)


def figuresOf(those: Iterable[Thing]) -> list[str]:
    """
    The names of all figures that there may be of these.
    """
    return [name for one in those for name in namesOf(one.name, _FIGURES.get(one.kind, ()))]


def _process(text: str) -> tuple[str, dict[str, Any]]:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("expected the number of a process, such as pid:1234")
    number = int(text)
    try:
        return f"pid:{number}", {"number": number, "began": processes.stateOf(number).began}
    except LookupError as e:
        raise ValueError(f"expected a process that runs: {e}")


def _unit(text: str) -> tuple[str, dict[str, Any]]:
    return text, {"directories": cgroups.directoriesOf(text)}


def _queue(text: str) -> tuple[str, dict[str, Any]]:
    directory = os.path.abspath(text)
    queues.check(directory)
    return "queue", {"directory": directory}


def _metric(text: str) -> tuple[str, dict[str, Any]]:
    url, _, wanted = text.partition("#")
    expected = 'expected http://HOST[:PORT]/PATH#METRIC, such as #queue_length or #queue_length{queue="active"}'
    try:
        parts = urlsplit(url)
        isUsable = parts.scheme == "http" and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        isUsable = False
    metric = _METRIC.fullmatch(wanted)
    if not isUsable or not url.isascii() or not url.isprintable() or " " in url or metric is None:
        raise ValueError(expected)
    if len(wanted) > _LONGEST:
        raise ValueError(f"expected a metric of at most {_LONGEST} characters")
    labels, rest = {}, metric[2] or ""
    while rest:
        label = _LABEL.match(rest)
        if label is None:
            raise ValueError(expected)
        labels[label[1]] = re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one[1], one[1]), label[2])
        rest = rest[label.end() :]
    return printable(wanted), {"url": url, "metric": metric[1], "labels": labels}


_KINDS: Mapping[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "pid": _process,
    "unit": _unit,
    "postfix-queue": _queue,
    "prometheus": _metric,
}

#: What there may be to see of each kind; of others, one figure.
_FIGURES = {
    "pid": processes.ProcessLook.FIGURES,
    "unit": cgroups.UnitLook.FIGURES,
    "postfix-queue": queues.QueueLook.FIGURES,
}
