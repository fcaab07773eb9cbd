"""
Messages of a corpus, made ready to be sent.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice

from smtpsource.messages.bodies import WholeBody, isHeaded
from smtpsource.messages.content import withCRLF
from smtpsource.messages.corpus import Corpus, Exhausted
from smtpsource.messages.draws import Draws
from smtpsource.messages.parts import FilePart, Unreadable
from smtpsource.smtp.streaming import LARGEST_WRITE

#: How many bytes of messages that were read are kept, so that they need not be read again.
KEPT = 64 * 1024 * 1024

#: How often another message is drawn in place of one that is left out, or tried in place of one that can't be read.
_DRAWS = 100

_HEADER_END = re.compile(rb"\n\r?\n")
_MESSAGE_ID = re.compile(rb"\nmessage-id[ \t]*:")


def loaded(found: bytes | FilePart) -> WholeBody:
    """
    A message as it is sent: with CRLF at the end of each line, whatever it has in its file. One that is large, and
    needs no change, remains where it is.

    @param found: as L{Corpus.read} gives it.
    @raise Unreadable: it isn't there any more.
    """
    beginning = bytes(found[:LARGEST_WRITE])
    identified, headed = _isIdentified(beginning), isHeaded(beginning)
    if isinstance(found, FilePart):
        if _isReady(found):
            return WholeBody(found.withLineEnd(), identified=identified, headed=headed)
        found = bytes(found)
    return WholeBody(withCRLF(found), identified=identified, headed=headed)


def _isIdentified(beginning: bytes) -> bool:
    """
    Has a message a Message-Id?
    """
    beginning = b"\n" + beginning
    end = _HEADER_END.search(beginning)
    return _MESSAGE_ID.search(beginning[: end.start() + 1 if end else None].lower()) is not None


def _isReady(found: FilePart) -> bool:
    """
    Has every line CRLF at its end, and no dot at its beginning?
    """
    before = b"\r\n"
    for start in range(0, len(found), LARGEST_WRITE):
        piece = before + bytes(found[start : start + LARGEST_WRITE])
        if b"\n." in piece or piece.count(b"\n") != piece.count(b"\r\n"):
            return False
        before = piece[-1:]
        if before == b"\n":
            before = b"\r\n"
    return True


class StoredBodies:
    """
    Messages of a corpus. One that can't be read is left out from then on, and which one is sent in its place follows
    from the number of the message, too; if none is left, or none can be read for lack of open files, the last one that
    could be is sent again.
    """

    def __init__(self, corpus: Corpus, pick: str, draws: Draws, kept: int = KEPT) -> None:
        """
        @param pick: C{"in-turn"}, C{"random"} or C{"weighted"}.
        @param kept: how many bytes of messages that were read are kept.
        @raise ValueError: there are no weights for C{"weighted"}.
        """
        self._corpus = corpus
        total = len(corpus)
        self._at = draws.at
        # Gives an index at random, and others for the same message; C{None}: they are in turn.
        self._draw: Callable[[], int] | None = None
        if pick == "random":
            self._draw = lambda: int(draws.random() * total)
        elif pick == "weighted":
            self._draw = corpus.weights().atRandom(draws)
        # Those that are left out, and for each another one: of those between them, all are left out.
        self._leftOut: dict[int, int] = {}
        self._doubts = corpus.doubts
        try:
            self._last = loaded(corpus.sample)
        except Unreadable:
            self._last = WholeBody(corpus.sample, headed=True)  # it is told when it is drawn, or can't be sent
        self._bodies: OrderedDict[int, WholeBody] = OrderedDict()
        self._room = kept

    def draw(self, number: int, onProblem: Callable[[str], None]) -> WholeBody:
        """
        See L{smtpsource.messages.bodies.SameBody.draw}.
        """
        if self._doubts:
            for doubt in self._doubts:
                onProblem(doubt)
            self._doubts = ()
        for index in islice(self._candidates(number), _DRAWS):
            body = self._bodies.get(index)
            if body is not None and body.outdated:
                self._room += self._bodies.pop(index).kept
                body = None
            if body is None:
                try:
                    body = loaded(self._corpus.read(index))
                except Exhausted as e:
                    onProblem(str(e))
                    break
                except Unreadable as e:
                    self._leftOut[index] = (index + 1) % len(self._corpus)
                    onProblem(f"{e}; left out from now on")
                    continue
                self._keep(index, body)
            else:
                self._bodies.move_to_end(index)
            self._last = body
            break
        return self._last

    def _candidates(self, number: int) -> Iterator[int]:
        """
        The index of the message that is drawn; then others that there are in case that it can't be read. Not all of
        them: there may be millions.
        """
        total, leftOut, draw = len(self._corpus), self._leftOut, self._draw
        if len(leftOut) == total:
            return
        turn, place = divmod(number - 1, total)
        if draw is None:
            if place not in leftOut:
                yield place
        else:
            self._at(number)
            for _ in range(_DRAWS):
                index = draw()
                if index not in leftOut:
                    yield index
        # It is another one in each turn.
        place = (place + turn) % total
        while len(leftOut) < total:
            place = self._from(place)
            yield place

    def _from(self, place: int) -> int:
        """
        The first one from this place on that is not left out.
        """
        leftOut, passed = self._leftOut, []
        while place in leftOut:
            passed.append(place)
            place = leftOut[place]
        for one in passed:
            leftOut[one] = place
        return place

    def _keep(self, index: int, body: WholeBody) -> None:
        bodies = self._bodies
        bodies[index] = body
        self._room -= body.kept
        while self._room < 0:
            _, dropped = bodies.popitem(last=False)
            self._room += dropped.kept
