"""
Where a run comes from: what it ran on, and the command.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from smtpsource.report.html.markup import Html, Row, definitions, element, table, text
from smtpsource.report.html.run import Run
from smtpsource.report.words import amount


def workers(run: Run) -> Html:
    """
    What each worker has done.
    """
    rows = (
        Row(
            (
                str(number),
                text(one.get("host") or ""),
                text(one["started"]),
                *(f"{one['cpu'][kind]:.2f} s" for kind in ("user", "system")),
                text(one.get("lost") or ""),
            ),
            "bad" if one.get("lost") else "",
        )
        for number, one in enumerate(run.document.get("environment", {}).get("workers") or (), 1)
    )
    return table("Workers", ["worker", "host", "started", "user CPU", "system CPU", "lost"], rows, (0, 1, 5))


def environment(run: Run) -> Html:
    """
    What it ran on.
    """
    known = run.document.get("environment", {})
    pairs = _flat({name: value for name, value in known.items() if name != "workers"})
    return definitions((name, text(_shown(name, value)), "") for name, value in pairs)


def _shown(name: str, value: object) -> object:
    isAmount = name.lower().endswith("memory") and isinstance(value, int | float)
    return amount(float(value)) if isAmount else value  # type: ignore[arg-type]


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


def command(run: Run) -> Html:
    """
    The command line, as a shell takes it.
    """
    command = run.document["command"]
    return element("pre", element("code", text(shlex.join(command)))) if command else ""
