"""
Texts of others on a user's terminal: what a server says, what stands in files and in reports, what a client of the sink
is called. Whatever is shown goes through here.
"""

from __future__ import annotations

import re

#: What counts as printable and is not seen, alone or at all: fillers and selectors of variants. Nor are combining
#: characters seen alone, but languages are written with them. Compiled when somebody has a text that is not ASCII.
_UNSEEN = "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"

#: The characters of a line that are shown at the most, of which these are its end.
LONGEST = 4000
_END = 1000

#: Those that are shown of what is named in a sentence.
_BRIEF = 40


def printable(text: bytes | str) -> str:
    """
    A text as one line that can be shown on a terminal, and does nothing there. Line ends become C{" | "}, tabs blanks.
    What is neither a letter, a digit, a sign nor a blank becomes a C{"?"}: control characters, C0 and C1, marks of
    direction, what has no width, what is no character. Of a text that is very long the middle is left out.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not text.isprintable():
        lines = text.replace("\t", " ").strip("\r\n").split("\n")
        text = " | ".join("".join(c if c.isprintable() else "?" for c in line.rstrip("\r")) for line in lines)
    if not text.isascii():
        text = re.sub(_UNSEEN, "?", text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - _END - 5]} ... {text[-_END:]}"
    return text


def brief(text: str) -> str:
    """
    The beginning of a text of others as L{printable} has it, to be named in a sentence.
    """
    return printable(text if len(text) <= _BRIEF else f"{text[: _BRIEF - 3]}...")


def legible(text: str) -> str:
    """
    The same for a text of several lines, which stay lines.
    """
    return "\n".join(map(printable, text.split("\n")))


def escaped(json: str) -> str:
    """
    A text in JSON, in which all that L{printable} would not show is written as an escape sequence of JSON: it can be
    looked at, and says the same.
    """
    if json.isascii() and "\x7f" not in json:
        return json
    return _OTHER.sub(_escape, json)


#: What may have to be escaped. (Line ends are there for people; those in strings are escaped already.)
_OTHER = re.compile("[^\n -~]")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable() and not re.match(_UNSEEN, character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))
