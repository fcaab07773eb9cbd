"""
Where a run comes from: what it ran on, and the command. Of a merged one, this of each that went into it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from smtpsource.report.html.markup import Html, Row, element, text
from smtpsource.report.html.room import TOGETHER, definitions, lines, table
from smtpsource.report.html.run import Run
from smtpsource.report.words import amount, course

#: What it ran on, as a report has it.
_Origin = Mapping[str, Any]


def workers(run: Run) -> Html:
    """
    What each worker has done.
    """
    return _each(run, _workers)


def environment(run: Run) -> Html:
    """
    What it ran on.
    """
    return _each(run, _environment)


def command(run: Run) -> Html:
    """
    The command line, as a shell takes it.
    """
    return _line(run.document["command"]) + _each(run, lambda origin: _line(origin.get("command") or ()))


def _each(run: Run, content: Callable[[_Origin], Html]) -> Html:
    known = run.document.get("environment", {})
    if "runs" not in known:
        return content(known)
    found = [
        (f"Run {number}: {one.get('host') or 'host not known'}", one) for number, one in enumerate(known["runs"], 1)
    ]
    shown = [element(f"h{run.level}", text(title)) + html for title, one in found if (html := content(one))]
    return lines(shown, room=TOGETHER)


def _workers(origin: _Origin) -> Html:
    def row(numbered: tuple[int, Mapping[str, Any]]) -> Row:
        number, one = numbered
        cells = (
            str(number),
            text(one.get("host") or ""),
            text(one["started"]),
            *(f"{one['cpu'][kind]:.2f} s" for kind in ("user", "system")),
            text(one.get("lost") or ""),
        )
        return Row(cells, "bad" if one.get("lost") else "")

    those = enumerate(origin.get("workers") or (), 1)
    headings = ["worker", "host", "started", "user CPU", "system CPU", "lost"]
    # Those that were lost before all others.
    return table("Workers", headings, those, row, (1, 5), weight=lambda numbered: bool(numbered[1].get("lost")))


def _environment(origin: _Origin) -> Html:
    pairs = _flat({name: value for name, value in origin.items() if name not in ("workers", "command")})
    return definitions([(name, text(_shown(name, value)), "") for name, value in pairs])


def _line(command: Any) -> Html:
    return element("pre", element("code", text(shlex.join(command)))) if command else ""


def _shown(name: str, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name.lower().endswith("memory"):
        return amount(float(value))
    return course(float(value)) if name == "elapsed" else value


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """
    What is in objects within each other, with the names on the way there.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path} {name}".strip())
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        for number, inner in enumerate(value, 1):
            yield from _flat(inner, f"{path} {number}")
    elif value is not None and value != []:
        yield path, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
