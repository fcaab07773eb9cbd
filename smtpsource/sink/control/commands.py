"""
What C{smtpsink ctl} can do.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from smtpsource.process.streams import sayOnce
from smtpsource.report.words import several
from smtpsource.sink.control.client import Client
from smtpsource.values import inputs, numbers, textfiles

#: By what messages are found.
_FINDING = ("recipient", "sender", "subject", "id", "after")

#: The most characters of a mark.
LONGEST_MARK = 1000

#: Seconds of one request that waits: the sink has a limit.
_LONGEST_WAIT = 300.0

Options = Mapping[str, Any]


class Unusable(ValueError):
    """
    A word on the command line can't be used; the text is one line.
    """


@dataclass(frozen=True)
class Command:
    """
    One of them.

    @ivar run: does it, and returns the exit status.
    @ivar about: the words after it, as help has them.
    @ivar words: how many there are at least, and at most.
    @ivar options: the long names of those it knows.
    """

    run: Callable[[Client, Options, Sequence[str]], int]
    about: str = "and nothing after it"
    words: tuple[int, int] = (0, 0)
    options: frozenset[str] = frozenset()


def say(data: bytes) -> None:
    """
    Write to standard output.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _sayJSON(document: Any) -> int:
    say(json.dumps(document, indent=2, ensure_ascii=True).encode("ascii") + b"\n")
    return 0


def _sayLine(document: Any) -> None:
    say(json.dumps(document).encode("ascii") + b"\n")


def _shows(path: str, method: str = "GET") -> Callable[[Client, Options, Sequence[str]], int]:
    """
    A command that shows what is at a path.
    """
    return lambda client, options, words: _sayJSON(client.askJSON(method, path))


def _setRules(client: Client, options: Options, words: Sequence[str]) -> int:
    (path,) = words
    try:
        if path == inputs.STANDARD:
            content = textfiles.withoutMark(inputs.readStandard(inputs.SETTINGS))
        else:
            content = textfiles.read(path, inputs.SETTINGS)
    except ValueError as e:
        raise Unusable(f"rules set: {path!r} is not usable: {e}")
    isJSON = path.endswith(".json") or (not path.endswith(".toml") and content.lstrip().startswith(b"{"))
    client.ask("PUT", "/rules", content, "application/json" if isJSON else "application/toml")
    return 0


def _addRule(client: Client, options: Options, words: Sequence[str]) -> int:
    from smtpsource.sink.rules.written import fromExpressions  # for those who have one

    try:
        (rule,) = fromExpressions(words).asDict()["rule"]
    except ValueError as e:
        raise Unusable(f"rules add: {str(e).removeprefix('--rule 1: ')}")
    path = "/rules?first=true" if options["first"] else "/rules"
    say(client.askJSON("POST", path, rule)["name"].encode("utf-8") + b"\n")
    return 0


def _removeRule(client: Client, options: Options, words: Sequence[str]) -> int:
    client.ask("DELETE", f"/rules/{quote(os.fsencode(words[0]), safe='')}")
    return 0


def _clearRules(client: Client, options: Options, words: Sequence[str]) -> int:
    client.askJSON("PUT", "/rules", {})
    return 0


def _messages(client: Client, options: Options, words: Sequence[str]) -> int:
    query = {name: str(options[name]) for name in _FINDING if options[name] is not None}
    count, seconds = options["count"] or 1, options["wait"] or 0.0
    found = _waitFor(client, query, count, seconds) if options["count"] or seconds else count
    for message in _found(client, query):
        _sayLine(message)
    if found < count:
        sayOnce(sys.stderr, f"smtpsink ctl: {several(found, 'message', 'messages')}: expected {count}\n")
        return 1
    return 0


def _waitFor(client: Client, query: dict[str, str], count: int, seconds: float) -> int:
    """
    Wait until there are enough messages, or until it has taken too long.

    @return: how many there are.
    """
    end = time.monotonic() + seconds
    while True:
        left = max(0.0, end - time.monotonic())
        wait = min(left, _LONGEST_WAIT)
        asked = _encoded({**query, "limit": "1", "wait": f"{wait:.6f}", "count": str(count)})
        found = int(client.askJSON("GET", f"/messages?{asked}", wait=wait)["found"])
        if found >= count or wait == left:
            return found


def _encoded(query: dict[str, str]) -> str:
    return urlencode(query, errors="surrogateescape")


def _found(client: Client, query: dict[str, str]) -> Iterator[Any]:
    """
    All messages, however many answers they take.
    """
    while True:
        page = client.askJSON("GET", f"/messages?{_encoded(query)}")
        yield from page["messages"]
        if page["found"] <= len(page["messages"]):
            return
        query = {**query, "after": str(page["messages"][-1]["number"])}


def _message(client: Client, options: Options, words: Sequence[str]) -> int:
    path = f"/messages/{_number('message', words[0])}"
    if options["raw"]:
        say(client.ask("GET", f"{path}/raw", accept="message/rfc822"))
        return 0
    return _sayJSON(client.askJSON("GET", path))


def _delete(client: Client, options: Options, words: Sequence[str]) -> int:
    if not words:
        return _sayJSON(client.askJSON("DELETE", "/messages"))
    client.ask("DELETE", f"/messages/{_number('delete', words[0])}")
    return 0


def _transcript(client: Client, options: Options, words: Sequence[str]) -> int:
    say(client.ask("GET", f"/transcripts/{_number('transcript', words[0])}", accept="text/plain"))
    return 0


def _events(client: Client, options: Options, words: Sequence[str]) -> int:
    for event in client.events():
        _sayLine(event)
    return 0


def _mark(client: Client, options: Options, words: Sequence[str]) -> int:
    (text,) = words
    if not 1 <= len(text) <= LONGEST_MARK:
        raise Unusable(f"mark: a text of {len(text)} characters is not usable: expected 1 to {LONGEST_MARK}")
    client.askJSON("POST", "/mark", {"text": text})
    return 0


def _number(command: str, text: str) -> int:
    try:
        return numbers.wholeNumber(1)(text)
    except ValueError as e:
        raise Unusable(f"{command}: {text!r} is not usable: {e}")


#: By their names, of one word or two.
COMMANDS: Mapping[str, Command] = {
    "rules get": Command(_shows("/rules")),
    "rules set": Command(_setRules, "FILE", (1, 1)),
    "rules add": Command(_addRule, "EXPR", (1, 1), frozenset({"first"})),
    "rules remove": Command(_removeRule, "NAME", (1, 1)),
    "rules clear": Command(_clearRules),
    "messages": Command(_messages, options=frozenset({*_FINDING, "wait", "count"})),
    "message": Command(_message, "N", (1, 1), frozenset({"raw"})),
    "delete": Command(_delete, "[N]", (0, 1)),
    "transcripts": Command(_shows("/transcripts")),
    "transcripts clear": Command(_shows("/transcripts", "DELETE")),
    "transcript": Command(_transcript, "N", (1, 1)),
    "counters": Command(_shows("/counters")),
    "pause": Command(_shows("/pause", "POST")),
    "resume": Command(_shows("/resume", "POST")),
    "drop": Command(_shows("/sessions", "DELETE")),
    "mark": Command(_mark, "TEXT", (1, 1)),
    "events": Command(_events),
}
