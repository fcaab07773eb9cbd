"""
Replies of a server (RFC 5321 section 4.2): what they mean. Pure functions on bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from smtpsource.printable import printable

#: One line of a reply: three digits, then nothing, a blank or (a line that goes on) a hyphen. RFC 5321 section 4.2 and
#: RFC 2821's remark that the text may be missing altogether.
_LINE = re.compile(rb"[2-5][0-9][0-9](?:[ \t\-]|\r*$)")

#: What a reply that closes the channel begins with, as far as it has come.
_CLOSING = re.compile(rb"(?:421|521)(?:[ \t\-]|\r*\n|\r*$)|(?:4|42|5|52)$")

#: The first digit of a reply that says yes, of one that wants more of what was begun, and of one that says no for good.
YES = ord("2")
MORE = ord("3")
NO = ord("5")

#: The longest reply, with all its lines, that is taken for one: no server has that much to say, and one that never
#: stops must not fill our memory. RFC 5321 section 4.5.3.1.5 has 512 octets a line as the least to be taken.
LONGEST = 65536


def isReplyLine(line: bytes) -> bool:
    """
    Is this a line of a reply at all?

    @param line: without its line end.
    """
    return _LINE.match(line) is not None


def goesOn(line: bytes) -> bool:
    """
    Is this a line of a multiline reply other than the last?
    """
    return line[3:4] == b"-"


@cache
def linesThatGoOn(code: bytes) -> re.Pattern[bytes]:
    """
    A pattern of whole lines, ended by CRLF, that belong to a multiline reply and are not its last.

    @param code: the reply's.
    """
    return re.compile(rb"(?:%b-[^\r\n]*\r\n)*" % code)


def shown(text: bytes) -> str:
    """
    What a server said, for an error's text: as much of it as fits there.
    """
    said = printable(text[:_SHOWN])
    return f"{said} ..." if len(text) > _SHOWN else said or "an empty line"


#: The bytes of a reply that are shown.
_SHOWN = 200


def closesChannel(code: bytes) -> bool:
    """
    Does the server close the connection after this reply? 421 by RFC 5321 section 3.8, 521 by RFC 7504.
    """
    return code in (b"421", b"521")


def mayClose(data: bytes) -> bool:
    """
    Does this begin with a reply that closes the channel, or may it when more of it has come?
    """
    return _CLOSING.match(data) is not None


def capabilities(reply: bytes) -> dict[str, str]:
    """
    What a server announces in its reply to EHLO or LHLO (RFC 5321 section 4.1.1.1): each keyword in capitals, with its
    parameters as they stand.

    @param reply: all its lines. Those that are no keyword, such as the first, are left out. Mechanisms of several lines
        with AUTH come together: many servers say C{AUTH=} as well, for old clients, with fewer of them.
    """
    announced: dict[str, list[str]] = {}
    for line in reply.split(b"\n")[1:]:
        match = _CAPABILITY.match(line)
        if match is not None:
            keyword, parameters = match[1].decode("ascii").upper(), match[2].decode("ascii", "replace")
            if keyword != "AUTH":
                announced[keyword] = [parameters]
            else:
                announced.setdefault(keyword, []).append(parameters)
    return {
        keyword: lines[0] if len(lines) == 1 else " ".join(dict.fromkeys(" ".join(lines).split()))
        for keyword, lines in announced.items()
    }


def missing(announced: Mapping[str, str], wanted: Iterable[str]) -> list[str]:
    """
    Which of these extensions a server does not announce.
    """
    return [keyword for keyword in wanted if keyword not in announced]


_CAPABILITY = re.compile(rb"250[ \-]([A-Za-z0-9][A-Za-z0-9-]*)(?=[ \t=\r]|$)[ \t=]*([^\r]*)")


#: The codes of whole one-line replies that have been seen. Servers say the same few things over and over; finding one
#: here is the quickest way to know that it is a reply, and which.
codes: dict[bytes, bytes] = {}

_MOST_REMEMBERED = 256
_LONGEST_REMEMBERED = 128

#: The same for several replies that came at once, as they do to a group of commands: the codes and the replies.
groups: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}

_LONGEST_GROUP = 1024


def wholeReply(data: bytes) -> bytes | None:
    """
    Is this exactly one whole reply of one line?

    @return: its code, or C{None}.
    """
    if data.find(b"\n") != len(data) - 1 or data[3:4] == b"-" or not isReplyLine(data):
        return None
    code = data[:3]
    if len(codes) < _MOST_REMEMBERED and len(data) <= _LONGEST_REMEMBERED:
        codes[data] = code
    return code


def wholeReplies(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """
    The whole replies of one line each that C{data} begins with.

    @return: for each its code and its bytes.
    """
    found = []
    start = 0
    while end := data.find(b"\n", start) + 1:
        reply = data[start:end]
        code = codes.get(reply) or wholeReply(reply)
        if code is None:
            break
        found.append((code, reply))
        start = end
    replies = tuple(found)
    if start == len(data) <= _LONGEST_GROUP and len(groups) < _MOST_REMEMBERED:
        groups[data] = replies
    return replies
