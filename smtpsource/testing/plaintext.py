"""
Passwords that went over the wire for everybody to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: The mechanisms of AUTH that send one as it is, or something as good as one.
_REVEALING = ("PLAIN", "LOGIN", "XOAUTH2")


def plaintextLogins(transcripts: Iterable[Mapping[str, Any]], implicitTLS: bool) -> list[str]:
    """
    Who has used AUTH with a password in plain text, without TLS.

    @param transcripts: of sessions, as C{Transcript.asDict} gives them.
    @param implicitTLS: all sessions begin with TLS.
    @return: a line for each.
    """
    if implicitTLS:
        return []
    return [line for transcript in transcripts for line in _loginsIn(transcript)]


def _loginsIn(transcript: Mapping[str, Any]) -> Iterator[str]:
    lines = transcript["lines"]
    helo, startingTLS = "no HELO", False
    for number, line in enumerate(lines):
        words = line["text"].split()
        if startingTLS and line["who"] == "server":
            if words[:1] == ["220"]:
                return
            startingTLS = False
        if line["who"] != "client" or not words:
            continue
        verb = words[0].upper()
        if verb in ("HELO", "EHLO", "LHLO"):
            helo = line["text"]
        startingTLS = verb == "STARTTLS"
        if verb == "AUTH" and len(words) > 1 and words[1].upper() in _REVEALING:
            who = f"session {transcript['session']} of {transcript['client']} ({helo})"
            yield f"{who}: AUTH {words[1].upper()} without TLS{_user(lines[number + 1 :])}"


def _user(after: Iterable[Mapping[str, Any]]) -> str:
    """
    As whom somebody has logged in, if that was noted.
    """
    for line in after:
        if line["who"] == "note" and line["text"].startswith(LOGGED_IN):
            return f", as {line['text'].removeprefix(LOGGED_IN).removesuffix(']')}"
        if line["who"] == "client" and line["text"].upper().startswith(("AUTH", "MAIL", "QUIT")):
            break
    return ""


#: How the note of a login begins, after which there is the user.
LOGGED_IN = "[logged in: "
