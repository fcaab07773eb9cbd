"""
Replies as rules have them: checked, and made the bytes that are sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from smtpsource.sink.rules import amounts
from smtpsource.sink.rules.facts import Step
from smtpsource.sink.rules.problems import Path, Table, Wrong, usable
from smtpsource.values import names

#: What a message gets that is refused and kept, where a rule has no text for it.
REFUSED = b"554 5.6.0 Message refused\r\n"

_LINE = re.compile(r"([0-9]{3})(?:[ -](.*))?", re.DOTALL)
_EXAMPLE = '"451 4.7.1 come back"'


def reply(value: Any, path: Path, steps: Collection[Step]) -> bytes:
    """
    One reply, of one line or several, with its line ends.

    @param value: a text such as C{"451 4.7.1 come back"}, or a list of them, of which each is a line.
    @param steps: at which it is to be given.
    @raise Wrong: it is none, or makes no sense there (RFC 5321 section 4.3.2).
    """
    lines = value if isinstance(value, list) else [value]
    if not lines:
        raise Wrong(path, f"expected at least one line, such as [{_EXAMPLE}]")
    places = [(*path, index) for index in range(len(lines))] if isinstance(value, list) else [path]
    parts = [usable(place, line, _parts) for place, line in zip(places, lines, strict=True)]
    code = parts[0][0]
    for place, (other, _) in zip(places, parts, strict=True):
        if other != code:
            raise Wrong(place, f"{other} is not usable: expected {code}, as in the first line of the reply")
    for step in steps:
        _checkCode(code, step, places[0])
    *others, last = (text for _, text in parts)
    written = [code.encode() + b"-" + text + b"\r\n" for text in others]
    return b"".join([*written, code.encode() + (b" " + last if last else b"") + b"\r\n"])


def _parts(line: Any) -> tuple[str, bytes]:
    """
    @return: the code of a line, and its text.
    """
    match = _LINE.fullmatch(line) if isinstance(line, str) else None
    if match is None:
        raise ValueError(f"expected a code of three digits and a text, such as {_EXAMPLE}")
    if not (200 <= int(match[1]) <= 599 and match[1][1] in "012345"):
        raise ValueError(f"expected a code from 200 to 559, such as {_EXAMPLE}")
    try:
        return match[1], names.oneLine((match[2] or "").encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError("expected a text that can be written in UTF-8")


def _checkCode(code: str, step: Step, path: Path) -> None:
    """
    Could this be a reply there?
    """
    if step == "data":
        right = "354" if code[0] in "23" else code
        expected = "354, 4xx or 5xx"
    else:
        right = "250" if code[0] == "3" else code
        expected = "2xx, 4xx or 5xx"
    if code != right:
        raise Wrong(path, f"{code} is no reply to {step}: expected {expected}")


def texts(value: Any, path: Path, steps: Collection[Step]) -> list[tuple[bytes, float]]:
    """
    Replies of which one is drawn.

    @param value: a list of tables, each with a C{text} as in L{reply} and perhaps a C{weight}.
    @return: each with the sum of the weights up to its own, of 1 in all.
    @raise Wrong: it can't be used.
    """
    if not isinstance(value, list) or not value:
        raise Wrong(path, f"expected a list of replies, such as [{{ text = {_EXAMPLE}, weight = 2 }}]")
    found = []
    for index, one in enumerate(value):
        table = Table(one, (*path, index), ("text", "weight"), f"{{ text = {_EXAMPLE}, weight = 2 }}")
        if "text" not in table:
            raise Wrong(table.path, f"no 'text': expected one, such as {_EXAMPLE}")
        written = reply(table.raw("text"), table.at("text"), steps)
        found.append((written, table.get("weight", amounts.weight, 1.0)))
    total = sum(weight for _, weight in found)
    sums, sum_ = [], 0.0
    for written, weight in found:
        sum_ += weight
        sums.append((written, sum_ / total))
    return sums


def drawn(choices: list[tuple[bytes, float]], number: float) -> bytes:
    """
    @param choices: see L{texts}.
    @param number: between 0 and 1.
    """
    for written, bound in choices:
        if number < bound:
            return written
    return choices[-1][0]
