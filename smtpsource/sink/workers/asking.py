"""
What a parent asks all its workers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from smtpsource.net.patience import Deadline
from smtpsource.sink.workers.answering import COUNTS, Question
from smtpsource.sink.workers.counted import Counted
from smtpsource.sink.workers.documents import silent
from smtpsource.sink.workers.link import Link
from smtpsource.sink.workers.wire import Kind
from smtpsource.web.visitors import LONGEST

#: Seconds that a worker may take to answer; then it does without. Whoever has asked over HTTP has to stay for longer.
PATIENCE = LONGEST / 2


class _Asked:
    """
    A question, and who has not answered yet.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self.missing = list(links)
        self.answers: dict[int, Any] = {}
        self.deferred: Deferred[tuple[list[Any], list[Link]]] = Deferred()
        self.timer: Any = None


class Asking:
    """
    Questions that wait for their answers.
    """

    def __init__(self, reactor: Any, links: Sequence[Link]) -> None:
        """
        @param reactor: provides C{IReactorTime}.
        """
        self._reactor = reactor
        self.links = links
        self._number = 0
        self._asked: dict[int, _Asked] = {}

    def ask(self, question: Question) -> Deferred[list[Any]]:
        """
        Ask all workers that are there.

        @return: fires with their answers, in their order; or with a C{Problem} if one has not answered in time.
        """

        def all(asked: tuple[list[Any], list[Link]]) -> list[Any]:
            answers, missing = asked
            if missing:
                raise silent(missing, PATIENCE)
            return answers

        return self.gather(question).addCallback(all)

    def gather(self, question: Question) -> Deferred[tuple[list[Any], list[Link]]]:
        """
        Ask all workers that are there.

        @return: fires with their answers, in their order, and those that have not answered in time.
        """
        self._number += 1
        number = self._number
        asked = self._asked[number] = _Asked([link for link in self.links if link.isReady])
        for link in asked.missing:
            link.say(Kind.ASK, (number, question))
        asked.timer = Deadline(self._reactor, PATIENCE, self._done, number)
        if not asked.missing:
            self._done(number)
        return asked.deferred

    def answered(self, link: Link, number: int, answer: Any) -> None:
        """
        A worker has answered.
        """
        asked = self._asked.get(number)
        if asked is not None and link in asked.missing:
            asked.answers[link.task.worker] = answer
            self._without(number, link)

    def lost(self, link: Link) -> None:
        """
        A worker is not there any more.
        """
        for number, asked in list(self._asked.items()):
            if link in asked.missing:
                self._without(number, link)

    def counts(self) -> Deferred[Counted]:
        """
        Ask what was counted.

        @return: all of it, with what those had told last who don't answer, or are not there any more.
        """
        return self.gather(Question(COUNTS)).addCallback(lambda told: Counted.sum(link.counted for link in self.links))

    def _without(self, number: int, link: Link) -> None:
        asked = self._asked[number]
        asked.missing.remove(link)
        if not asked.missing:
            self._done(number)

    def _done(self, number: int) -> None:
        asked = self._asked.pop(number)
        if asked.timer.active():
            asked.timer.cancel()
        asked.deferred.callback(([asked.answers[worker] for worker in sorted(asked.answers)], asked.missing))
