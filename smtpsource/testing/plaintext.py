"""
Passwords that went over the wire for everybody to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: The mechanisms of AUTH that send one as it is, or something as good as one.
_REVEALING = ("PLAIN", "LOGIN", "XOAUTH2")


def plaintextLogins(transcripts: Iterable[Mapping[str, Any]]) -> list[str]:
    """
    Who has used AUTH with a password in plain text, without TLS.

    @param transcripts: of sessions, with C{session}, C{client} and C{logins} as C{Transcript.asDict} has them.
    @return: a line for each.
    """
    return [
        f"session {each['session']} of {each['client']} ({login['helo'] or 'no HELO'}): {_told(login)}"
        for each in transcripts
        for login in each["logins"]
        if login["mechanism"] in _REVEALING and not login["tls"]
    ]


def needNone(found: Iterable[str]) -> None:
    """
    See that there are no such lines.

    @raise AssertionError: there are; the text has them.
    """
    __tracebackhide__ = True  # pytest shows the test instead
    lines = list(found)
    if lines:
        raise AssertionError("passwords in plain text:\n  " + "\n  ".join(lines))


def _told(login: Mapping[str, Any]) -> str:
    return f"AUTH {login['mechanism']} without TLS{', as ' if login['user'] else ''}{login['user']}"
