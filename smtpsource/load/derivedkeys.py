"""
The keys of SCRAM: worked out beside the reactor, each once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import islice

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smtpsource.process.processors import usable
from smtpsource.smtp.scramkeys import Derivation, Keys

#: Who is told of keys, or of what kept us from having them.
Answer = Callable[[Keys | BaseException], None]

#: The keys of how many users, as a server salts them, are kept.
KEPT = 16384

#: How many connections are answered in one turn of the reactor: thousands may wait for the same keys.
_BATCH = 100

_log = Logger()


def mostAtOnce() -> int:
    """
    How many keys to work out at once: the reactor needs a processor, too.
    """
    return max(1, min(4, usable() - 1))


class DerivedKeys:
    """
    Works out keys for those who wait for them, and keeps them: a load test logs in again and again.

    What is worked out is what somebody still waits for, in the order in which it was first asked for. So a server that
    has new salts for every login makes no more work than there are connections, and no connection that is gone is
    worked for, but for those few that were begun.
    """

    def __init__(
        self,
        inThread: Callable[[Callable[[], Keys]], Deferred[Keys]],
        later: Callable[[Callable[[], None]], object],
        most: int | None = None,
    ) -> None:
        """
        @param inThread: calls something that takes its time where it holds nobody up.
        @param later: calls something in the next turn of the reactor.
        @param most: how many are worked out at once; C{None} is L{mostAtOnce}.
        """
        self._inThread = inThread
        self._later = later
        self._most = mostAtOnce() if most is None else most
        self._kept: OrderedDict[Derivation, Keys] = OrderedDict()
        # Those who wait, in the order in which they came: for what is not begun yet, and for what is.
        self._queue: dict[Derivation, dict[Answer, None]] = {}
        self._begun: dict[Derivation, dict[Answer, None]] = {}
        self._running = 0

    def ask(self, wanted: Derivation, answer: Answer) -> None:
        """
        Call C{answer} with these keys: now, if they are there, or when they are; once, unless that is withdrawn.
        """
        keys = self._kept.get(wanted)
        if keys is not None:
            self._kept.move_to_end(wanted)
            answer(keys)
        elif wanted in self._begun:
            self._begun[wanted][answer] = None
        else:
            self._queue.setdefault(wanted, {})[answer] = None
            self._beginSome()

    def withdraw(self, wanted: Derivation, answer: Answer) -> None:
        """
        Don't call it any more.
        """
        if wanted in self._begun:
            self._begun[wanted].pop(answer, None)
        elif wanted in self._queue:
            self._queue[wanted].pop(answer, None)
            if not self._queue[wanted]:
                del self._queue[wanted]

    def _beginSome(self) -> None:
        while self._queue and self._running < self._most:
            wanted = next(iter(self._queue))
            self._begun[wanted] = self._queue.pop(wanted)
            self._running += 1
            self._inThread(wanted.keys).addCallbacks(partial(self._found, wanted), partial(self._failed, wanted))

    def _found(self, wanted: Derivation, keys: Keys) -> None:
        self._kept[wanted] = keys
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        self._over(wanted, keys)

    def _failed(self, wanted: Derivation, reason: Failure) -> None:
        _log.failure("No keys for SCRAM", reason)
        assert reason.value is not None
        self._over(wanted, reason.value)

    def _over(self, wanted: Derivation, result: Keys | BaseException) -> None:
        self._running -= 1
        self._answerSome(wanted, result)
        self._beginSome()

    def _answerSome(self, wanted: Derivation, result: Keys | BaseException) -> None:
        waiting = self._begun[wanted]
        for answer in list(islice(waiting, _BATCH)):
            # One that was answered before it may have been the end of others.
            if answer in waiting:
                del waiting[answer]
                try:
                    answer(result)
                except Exception:
                    _log.failure("A login that waited for its keys")
        if waiting:
            self._later(partial(self._answerSome, wanted, result))
        else:
            del self._begun[wanted]
