"""
Where messages are in an mbox file.

The line before a message begins with C{From}, and has an address and a date. A paragraph of a message may begin with
that word as well, and is not always escaped (C{>From}). So a line begins a message only if it has what mail tools write
there, and a header comes after it; whether an empty line comes before it does not matter. Lines that were escaped stay
escaped.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

from smtpsource.messages.parts import StoredFile
from smtpsource.values.textfiles import MARK

#: What the line before a message begins with.
FROM = b"From "

#: How much of a file is looked through at a time.
_BLOCK = 1024 * 1024

#: The longest line before a message, and how much of what comes after it is looked at to tell whether it is one.
_LONGEST, _AHEAD = 1000, 2000

#: How much of what is around a message is looked at to tell whether it is still there.
AROUND = _LONGEST + 10

_TIME = rb"\d?\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[ \t]*[AaPp][Mm])?"
_ZONE = rb"(?:[ \t]+(?:[A-Z]{1,5}(?:[+-]\d\d?(?::?\d\d)?)?|[+-]\d\d:?\d\d))"
_WORD = rb"[A-Za-z\x80-\xff]{2,12}\.?"

#: The date at the end of that line: as asctime(3) has it, with or without the day of the week, seconds and a zone,
#: before the year or after it; in the order of RFC 5322, of ISO 8601 or of JavaScript; and UUCP's words after it.
_DATE = re.compile(
    rb"(?:^|[ \t])(?:"
    rb"(?:%(word)b,?[ \t]+)?"
    rb"(?:%(word)b[ \t]+\d?\d,?[ \t]+"
    rb"(?:%(time)b%(zone)b{0,2}[ \t]+\d\d(?:\d\d)?%(zone)b?|\d{4},?[ \t]+%(time)b%(zone)b?)"
    rb"|\d?\d[ \t-]+%(word)b[ \t-]+\d\d(?:\d\d)?[ \t]+%(time)b%(zone)b?)"
    rb"|\d{4}-\d\d-\d\d[T \t]%(time)b(?:Z|[ \t]*[+-]\d\d:?\d\d|%(zone)b)?"
    rb")(?:[ \t]+\([^()]*\))?(?:[ \t]+remote from [^\s]+)?[ \t\r]*$" % {b"word": _WORD, b"time": _TIME, b"zone": _ZONE}
)

#: The address before it: one word; or with blanks in quotes, in angle brackets, or as list archives write it. There may
#: be none.
_ADDRESS = re.compile(rb'|[^\s"<>]+|"(?:[^"\\]|\\.)*"[^\s<>]*|[^<>]*<[^<>]*>|[^\s<>]+[ \t]+at[ \t]+[^\s<>]+')

#: A header's name and colon; or the line of an earlier host, as UUCP has it.
_HEADER = re.compile(rb"(?:%b)?(?:[!-9;-~]+[ \t]*:|>From )" % MARK)

#: An address alone: what stands there in files that some programs write, without any date.
_UNDATED = re.compile(rb"[^\s]+[ \t]*\r?")

#: Nearly all that there ever is, in one step.
_USUAL = re.compile(
    rb"(?:%b)?From [^\s\"<>]+ +[A-Z][a-z][a-z] [A-Z][a-z][a-z] [ 0-3]\d \d\d:\d\d:\d\d \d{4}\r?\n(?=[!-9;-~]+:)" % MARK
)

#: A line that begins with C{FROM}, after the end of the one before it; and one that may have a mark.
_LINE, _MARKED = re.compile(rb"\nFrom "), re.compile(rb"\n(?:%b)?From " % MARK)


class Extents:
    """
    Where the messages of a file are.

    @ivar starts: where they begin.
    @ivar ends: where they end.
    @ivar doubtful: where there are lines as before a message, with no header after them: they are taken for text.
    @ivar headless: the first message has no header.
    """

    def __init__(self) -> None:
        self.starts, self.ends, self.doubtful = array("Q"), array("Q"), array("Q")
        self.headless = False

    def add(self, start: int, end: int) -> None:
        """
        A message, unless there is nothing in it.
        """
        if start < end:
            self.starts.append(start)
            self.ends.append(end)


def extents(file: StoredFile, start: int) -> Extents:
    """
    Find all messages.

    A file that begins with an address and no date, as some programs write it, is taken to be like that all through: in
    it, an address alone will do, after an empty line.

    @param start: where C{FROM} is that the file begins with, after its byte order mark.
    @raise ValueError: it does not begin as an mbox file does.
    """
    line, _, after = file.read(start, start + _AHEAD)[len(FROM) :].partition(b"\n")
    undated = _UNDATED.fullmatch(line) is not None
    if not undated and not isDated(line):
        raise ValueError
    found = Extents()
    found.headless = _HEADER.match(after) is None
    begin = min(start + len(FROM) + len(line) + 1, file.stamp[1])
    for end, following in _boundaries(file, begin - 1, undated, found.doubtful):
        found.add(begin, end)
        begin = following
    size = file.stamp[1]
    ending = file.read(max(0, size - 3), size)
    found.add(begin, size - _emptyLine(ending, len(ending)))
    return found


def isDated(line: bytes) -> bool:
    """
    Is this, what comes after C{FROM}, an address and a date?
    """
    date = _DATE.search(line) if b":" in line else None
    return date is not None and _ADDRESS.fullmatch(line[: date.start()].strip()) is not None


def lineNumber(file: StoredFile, place: int) -> int:
    """
    The number of the line at some place, from 1.
    """
    ends = sum(file.read(at, min(place, at + _BLOCK)).count(b"\n") for at in range(0, place, _BLOCK))
    return ends + 1


def isBetween(before: bytes, after: bytes) -> bool:
    """
    Is there a message between these?

    @param before: what comes before it, or the end of that.
    @param after: what comes after it, or the beginning of that.
    """
    line = before.removesuffix(MARK).removesuffix(b"\n").rpartition(b"\n")[2].removeprefix(MARK)
    following = after.removeprefix(b"\r").removeprefix(b"\n").removeprefix(MARK)
    return all(
        each.startswith(FROM) and (isDated(each[len(FROM) :]) or _UNDATED.fullmatch(each[len(FROM) :]))
        for each in (line, *([following.partition(b"\n")[0]] if following else []))
    )


def _boundaries(file: StoredFile, at: int, undated: bool, doubtful: array[int]) -> Iterator[tuple[int, int]]:
    """
    @param at: where to begin: the end of a line.
    @param doubtful: see L{Extents}.
    @return: for each message but the first where the one before it ends, and where it begins.
    """
    for buffer, offset, first, last in _blocks(file, at):
        # A single byte is found in no time, and there is hardly ever such a mark.
        lines = _MARKED if MARK[0] in buffer and MARK in buffer else _LINE
        for match in lines.finditer(buffer, first):
            place = match.start()
            if place >= last:
                break
            usual = _USUAL.match(buffer, place + 1)
            if usual is not None:
                yield offset + place + 1 - _emptyLine(buffer, place + 1), offset + usual.end()
                continue
            text = match.end()
            end = buffer.find(b"\n", text, text + _LONGEST)
            dated = isDated(buffer[text : max(0, end)])
            empty = _emptyLine(buffer, place + 1)
            if not dated and not (undated and empty and _UNDATED.fullmatch(buffer, text, end)):
                continue
            if _HEADER.match(buffer, end + 1):
                yield offset + place + 1 - empty, offset + end + 1
            elif dated:
                doubtful.append(offset + place + 1)


def _blocks(file: StoredFile, at: int) -> Iterator[tuple[bytes, int, int, int]]:
    """
    @return: pieces of the file, and where each begins; in it, from where and up to where lines may begin, so that all
        begin in one of them, with what is needed before and after them.
    """
    size = file.stamp[1]
    buffer, first = b"", 0
    while True:
        block = file.read(at + len(buffer), min(size, at + len(buffer) + _BLOCK))
        buffer += block
        last = max(first, len(buffer) - _AHEAD) if block else len(buffer)
        yield buffer, at, first, last
        if not block:
            return
        kept = max(0, last - 2)
        buffer, at, first = buffer[kept:], at + kept, last - kept


def _emptyLine(text: bytes, end: int) -> int:
    """
    How many bytes an empty line has that is before some place in a text, after the end of another line.
    """
    if text.startswith(b"\n\n", end - 2) and end > 1:
        return 1
    return 2 if end > 2 and text.startswith(b"\n\r\n", end - 3) else 0
