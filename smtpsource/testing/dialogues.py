"""
What was said to a sink in another process, in one test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from smtpsource.sink.control.client import PATIENCE
from smtpsource.testing.remote import Remote

#: Seconds that a sink may take to answer when a report is made.
_PATIENCE = 10.0

#: A report has so many sessions, the last ones; and so many lines of each.
_MOST_SESSIONS, _MOST_LINES = 10, 200


class Dialogues:
    """
    The sessions of a test: those in which something was said since it has begun.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        # How many lines and logins each session had before.
        self._before: dict[int, tuple[int, int]] = {}

    def begin(self) -> None:
        """
        The test begins now.
        """
        self._before = {each["session"]: (_said(each), len(each["logins"])) for each in self._all()}

    def texts(self) -> list[str]:
        """
        All of them, the oldest first.
        """
        return self._textsOf(self._sessions())

    def last(self) -> str:
        """
        The last one; empty if there is none.
        """
        return "".join(self._textsOf(self._sessions()[-1:]))

    def logins(self) -> list[dict[str, Any]]:
        """
        The sessions, each with the logins of this test.
        """
        return [{**each, "logins": each["logins"][self._beforeIn(each)[1] :]} for each in self._all()]

    def told(self) -> str:
        """
        The last ones, for people.
        """
        try:
            sessions = self._sessions(_PATIENCE)
            texts = [_bounded(text) for text in self._textsOf(sessions[-_MOST_SESSIONS:], _PATIENCE)]
        except (RuntimeError, ValueError) as e:
            return f"{e}\n"
        if len(sessions) > len(texts):
            texts.insert(0, f"the last {len(texts)} of {len(sessions)} sessions:\n")
        return "\n".join(texts) or "nobody has connected\n"

    def _all(self, patience: float = PATIENCE) -> list[dict[str, Any]]:
        return list(self._remote.ask("GET", "/transcripts", patience=patience)["transcripts"])

    def _sessions(self, patience: float = PATIENCE) -> list[int]:
        return [each["session"] for each in self._all(patience) if _said(each) != self._beforeIn(each)[0]]

    def _beforeIn(self, session: Mapping[str, Any]) -> tuple[int, int]:
        return self._before.get(session["session"], (-1, 0))

    def _textsOf(self, sessions: Iterable[int], patience: float = PATIENCE) -> list[str]:
        return [text for session in sessions for text in self._textOf(session, patience)]

    def _textOf(self, session: int, patience: float) -> list[str]:
        path = f"/transcripts/{session}"
        try:
            return [self._remote.asBytes("GET", path, accept="text/plain", patience=patience).decode("utf-8")]
        except LookupError:
            # Others have taken its place meanwhile.
            return []


def _said(session: Mapping[str, Any]) -> int:
    return int(session["lines"]) + int(session["dropped"])


def _bounded(text: str) -> str:
    """
    A dialogue, the middle of which is left out if it is long.
    """
    lines = text.splitlines(keepends=True)
    missing = len(lines) - _MOST_LINES
    if missing <= 0:
        return text
    half = _MOST_LINES // 2
    return "".join([*lines[:half], f"[{missing} more lines]\n", *lines[-half:]])
