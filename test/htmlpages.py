"""
HTML pages, as tests look at them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import numpy

#: Elements that have no end.
_EMPTY = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """
    What a parser finds in a page.

    @ivar elements: the name and the attributes of all elements, in their order.
    @ivar texts: by the number of an element, the text in it, but not in others within it.
    @ivar open: the numbers of those that were not closed.
    """

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.texts = {}
        self.open = []
        self.wrong = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts[len(self.elements) - 1] = ""
        if tag not in _EMPTY:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        if not self.open or self.elements[self.open.pop()][0] != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] += data

    def handle_comment(self, data):
        self.wrong.append(f"<!--{data}-->")

    def handle_pi(self, data):
        self.wrong.append(f"<?{data}>")

    def of(self, name, **attributes):
        """
        @return: the texts of all elements of that name that have these attributes.
        """
        return [
            self.texts[number]
            for number, (tag, found) in enumerate(self.elements)
            if tag == name and attributes.items() <= found.items()
        ]

    @property
    def seen(self):
        """
        All that is no script and no style.
        """
        return [text for number, text in self.texts.items() if self.elements[number][0] not in ("script", "style")]

    @property
    def policy(self):
        """
        Its Content-Security-Policy, by directives.
        """
        ((_, found),) = (one for one in self.elements if one[1].get("http-equiv") == "Content-Security-Policy")
        return dict(part.strip().partition(" ")[::2] for part in found["content"].split(";"))

    @property
    def data(self):
        """
        What its data block says.
        """
        ((number, kind),) = (
            (number, found["type"])
            for number, (tag, found) in enumerate(self.elements)
            if tag == "script" and found.get("id") == "data"
        )
        text = self.texts[number]
        return json.loads(text if kind == "application/json" else zlib.decompress(base64.b64decode(text)))

    def cells(self, section):
        """
        @return: of the tables of a section, for each row the texts of its cells; an element in a cell counts as a part
            of it.
        """
        rows, inside = [], False
        for number, (tag, found) in enumerate(self.elements):
            if tag == "section":
                inside = found["id"] == section
            elif inside and tag == "tr":
                rows.append([])
            elif inside and tag in ("th", "td"):
                rows[-1].append(self.texts[number])
        return rows


def hashOf(text):
    """
    @return: what a policy calls a script or a style.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def colorsIn(style):
    """
    @return: the colors of a style sheet by the names of their properties: for light pages, dark ones and paper.
    """
    light, dark = (
        re.search(r":root, :root\[data-print\] \{(.*?)\}", style, re.DOTALL),
        re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", style, re.DOTALL),
    )
    paper = re.search(r"@media print \{\s*:root \{(.*?)\}", style, re.DOTALL)
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", each[1])) for each in (light, dark, paper)]
    return {"light": found[0], "dark": found[1], "paper": {**found[0], **found[2]}}


def contrast(one, other):
    """
    @return: how much brighter one color is than another, as WCAG has it: from 1 to 21.
    """
    bright, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(color):
    return numpy.array([0.2126, 0.7152, 0.0722]) @ _linear(color)


def _linear(color):
    parts = numpy.array([int(color[begin : begin + 2], 16) / 255 for begin in (1, 3, 5)])
    return numpy.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


#: How colors are seen, as Machado, Oliveira and Fernandes (2009) have found: by most people, and by those who lack one
#: of three kinds of cones.
EYES = {
    "all": numpy.eye(3),
    "no red": numpy.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "no green": numpy.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "no blue": numpy.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}

_XYZ = numpy.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = numpy.array([0.9505, 1, 1.0888])


def difference(one, other, eyes):
    """
    @return: how different two colors look, by the CIE's formula of 1976: what is below 2.3 is not seen.

    @param eyes: one of L{EYES}.
    """
    return float(numpy.linalg.norm(_seen(one, eyes) - _seen(other, eyes)))


def _seen(color, eyes):
    parts = _XYZ @ (EYES[eyes] @ _linear(color)).clip(0, 1) / _WHITE
    root = numpy.where(parts > 0.008856, numpy.cbrt(parts), 7.787 * parts + 16 / 116)
    return numpy.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])
