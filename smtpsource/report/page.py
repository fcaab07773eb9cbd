"""
Lines as people see them: as wide as there is room, and on a terminal in colors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap
from typing import NamedTuple

from smtpsource.printable import legible, printable
from smtpsource.process.streams import Outlet
from smtpsource.records import dataclass

#: The columns of a line where nobody knows how many there are.
WIDTH = 80

#: Where the text of a labelled line begins.
INDENT = 13

_STYLES = {"good": "\x1b[32m", "bad": "\x1b[1;31m", "doubtful": "\x1b[33m", "aside": "\x1b[2m"}
_PLAIN = "\x1b[0m"
_ANY_STYLE = re.compile("(" + "|".join(map(re.escape, (*_STYLES.values(), _PLAIN))) + ")")


class Line(NamedTuple):
    """
    A line of text.

    @ivar text: it; what can't be shown in it is replaced.
    @ivar style: C{"good"}, C{"bad"}, C{"doubtful"}, C{"aside"}, or empty for none.
    @ivar indent: where it goes on if it takes several lines.
    @ivar isCommand: it is to be copied, so it stays one line, however long it is.
    """

    text: str
    style: str = ""
    indent: int = INDENT
    isCommand: bool = False


class Fact(NamedTuple):
    """
    Something that is said of a run, whatever it is shown on.

    @ivar label: what it is about, in a word or two; empty if it goes on about the same.
    @ivar text: it.
    @ivar style: as in L{Line}.
    @ivar isCommand: likewise.
    @ivar isUsual: it says nothing that nobody would have thought.
    """

    label: str
    text: str
    style: str = ""
    isCommand: bool = False
    isUsual: bool = False

    @property
    def line(self) -> Line:
        """
        The same as a line of text.
        """
        return Line(f"{self.label:<{INDENT}}{self.text}", self.style, isCommand=self.isCommand)


class Change(NamedTuple):
    """
    A figure of two runs.

    @ivar name: what it is.
    @ivar first: what it was in the first, as text.
    @ivar second: in the second.
    @ivar change: how it has changed.
    @ivar verdict: whether that is more than noise; empty if nobody can tell.
    @ivar isMore: it is.
    """

    name: str
    first: str
    second: str
    change: str
    verdict: str = ""
    isMore: bool = False


@dataclass(frozen=True)
class Page:
    """
    Where lines are shown.

    @ivar width: how many columns there are; longer lines take several.
    @ivar colors: are there colors?
    @ivar isWhole: is there room for what says nothing unusual?
    """

    width: int = WIDTH
    colors: bool = False
    isWhole: bool = True

    def lay(self, lines: Iterable[Line | str]) -> str:
        """
        The text of these lines, which does nothing on a terminal but to be shown.
        """
        return "".join(f"{line}\n" for each in lines for line in self._lines(each))

    def _lines(self, line: Line | str) -> Iterator[str]:
        text, style, indent, isCommand = Line(line) if isinstance(line, str) else line
        text = printable(text)
        if isCommand:
            pieces = [text]
        elif not text.isascii():
            pieces = _wrapWide(text, self.width, indent)
        elif len(text) > self.width:
            pieces = wrap(text, self.width, subsequent_indent=" " * indent, break_on_hyphens=False)
        else:
            pieces = [text]
        for piece in pieces:
            yield f"{_STYLES[style]}{piece}{_PLAIN}" if style and self.colors else piece


def _wrapWide(text: str, width: int, indent: int) -> list[str]:
    """
    What C{wrap} does, for text in which a character may take two columns, or none.
    """
    from rich.cells import cell_len, chop_cells  # few have such text

    lines, line = [], ""
    for word in re.findall(r" *[^ ]+", text):
        if cell_len(line) + cell_len(word) <= width:
            line += word
            continue
        if line.strip():
            lines.append(line)
        *whole, rest = chop_cells(word.strip(), width - indent)
        lines += [" " * indent + part for part in whole]
        line = " " * indent + rest
    return [*lines, line]


def pageOf(outlet: Outlet, color: str, environment: Mapping[str, str] = os.environ, *, isWhole: bool = True) -> Page:
    """
    What there is room for.

    @param color: C{"always"}, C{"never"}, or C{"auto"}: on a terminal that has them, if C{NO_COLOR}
        (https://no-color.org) is not set.
    @param isWhole: as in L{Page}.
    """
    isTerminal = outlet.isatty()
    width = WIDTH
    if isTerminal:
        assert outlet.stream is not None
        try:
            # As for pictures, the last column stays free: some terminals go to the next line after it.
            columns = os.get_terminal_size(outlet.stream.fileno()).columns
            width = max(40, columns - 1) if columns else WIDTH
        except (OSError, ValueError):
            pass
    wanted = isTerminal and environment.get("TERM", "dumb") != "dumb" and not environment.get("NO_COLOR")
    return Page(width, color == "always" or (color == "auto" and wanted), isWhole)


def shown(text: str) -> str:
    """
    A text of several lines as it can be shown: nothing but its styles is obeyed.
    """
    if "\x1b" not in text:
        return legible(text)
    return "".join(part if number % 2 else legible(part) for number, part in enumerate(_ANY_STYLE.split(text)))
