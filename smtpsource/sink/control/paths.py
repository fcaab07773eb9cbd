"""
All paths, and what can be done there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from smtpsource._version import __version__
from smtpsource.sink.control.asked import Does
from smtpsource.sink.control.events import Events
from smtpsource.sink.control.messages import LISTING, Messages
from smtpsource.sink.control.metrics import Metrics
from smtpsource.sink.control.rules import Rules
from smtpsource.sink.control.running import Running
from smtpsource.sink.control.stream import Stream
from smtpsource.sink.control.transcripts import Transcripts
from smtpsource.web.answers import Answer, Problem, asJSON
from smtpsource.web.staying import Stays

if TYPE_CHECKING:
    from smtpsource.sink.steering import Steering

#: By the path, whose variable parts stand in braces as in OpenAPI, and the method.
Paths = Mapping[str, Mapping[str, Does]]


def paths(reactor: Any, steering: Steering, events: Events) -> Paths:
    """
    All that can be asked of a sink.

    @param reactor: provides C{IReactorTime}.
    @param events: what is told to those who watch.
    """
    # Read now: there may be another root directory soon.
    stays, document = Stays(), description()
    rules, running, metrics = Rules(steering), Running(steering), Metrics(steering)
    # A sink that is controlled keeps some.
    memory, dialogues = steering.memory, steering.transcripts
    assert memory is not None
    assert dialogues is not None
    messages = Messages(reactor, memory, steering, stays)
    transcripts = Transcripts(dialogues, steering)
    stream = Stream(reactor, events, stays)
    found: dict[str, dict[str, Does]] = {
        "/": {},
        "/rules": {
            "GET": Does(rules.get),
            "PUT": Does(rules.put),
            "PATCH": Does(rules.patch),
            "POST": Does(rules.add, ("first",)),
        },
        "/rules/{name}": {"GET": Does(rules.getOne), "DELETE": Does(rules.removeOne)},
        "/pause": {"POST": Does(running.pause)},
        "/resume": {"POST": Does(running.resume)},
        "/sessions": {"DELETE": Does(running.drop)},
        "/mark": {"POST": Does(running.mark)},
        "/counters": {"GET": Does(running.counters)},
        "/metrics": {"GET": Does(metrics.get)},
        "/messages": {"GET": Does(messages.find, LISTING), "DELETE": Does(messages.delete)},
        "/messages/{number}": {"GET": Does(messages.get), "DELETE": Does(messages.deleteOne)},
        "/messages/{number}/raw": {"GET": Does(messages.getRaw)},
        "/transcripts": {"GET": Does(transcripts.list), "DELETE": Does(transcripts.delete)},
        "/transcripts/{session}": {"GET": Does(transcripts.get)},
        "/events": {"GET": Does(stream.get)},
        "/openapi.json": {"GET": Does(lambda asked: Answer(document))},
    }
    found["/"]["GET"] = Does(lambda asked: _links(found))
    return found


def _links(found: Paths) -> Answer:
    links = {path: sorted(methods) for path, methods in found.items()}
    return asJSON({"tool": "smtpsink", "version": __version__, "paths": links})


@cache
def description() -> bytes:
    """
    All this, as OpenAPI has it.
    """
    return (resources.files("smtpsource.sink.control") / "openapi.json").read_bytes()


def at(found: Paths, path: bytes) -> tuple[Mapping[str, Does], Mapping[str, str]]:
    """
    What can be done at a path.

    @param path: as it came, without a query.
    @return: that, by its methods, and the variable parts of the path.
    @raise Problem: there is nothing at this path.
    """
    parts = path.split(b"/")
    for pattern, methods in found.items():
        names = _matched(pattern.split("/"), parts)
        if names is not None:
            return methods, names
    raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this path: expected one that GET / lists")


def _matched(pattern: Sequence[str], parts: Sequence[bytes]) -> Mapping[str, str] | None:
    if len(pattern) != len(parts):
        return None
    names = {}
    for wanted, part in zip(pattern, parts, strict=True):
        text = unquote(part, errors="replace")
        if wanted.startswith("{"):
            names[wanted[1:-1]] = text
        elif wanted != text:
            return None
    return names
