"""
For how long sinks have listened: what is missing may have come to one of several when it was not there, and a clock
of another machine that is ahead makes a silence longer than it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smtpsource.ledger import records
from smtpsource.ledger.clocks import Clocks
from smtpsource.ledger.known import Known
from smtpsource.ledger.reading import LedgerFile
from smtpsource.ledger.units import Integers

#: A sink writes something every other second at least. One that has written nothing for so many seconds does not
#: listen: it is stopped, or its disk is, and that nothing comes says nothing.
DEAF = 3.0

#: Later than anything.
_NEVER = np.iinfo(np.int64).max


@dataclass
class _Run:
    """
    What the generators say, in nanoseconds.

    @ivar begin: when the first message was about to be sent.
    @ivar end: when the last one was acknowledged.
    @ivar boots: of their machines.
    @ivar numbers: of its messages, in order, and C{intents}: when each of them was first about to be sent; empty where
        all clocks are one.
    """

    begin: int
    end: int
    boots: set[str]
    numbers: Any
    intents: Integers


@dataclass(eq=False)
class _Sink:
    """
    What a sink says, by its own clock.

    @ivar begin: its first record, C{end} its last, C{arrival} the last message of the run; 0 if there was none;
        C{resumed}: the first record since it was deaf, if it was.
    @ivar ahead: its clock is ahead of the generator's by no more than this, for nothing arrives before it is sent.
        C{None}: nothing has arrived, and the clocks are two.
    """

    file: LedgerFile
    begin: int
    end: int
    arrival: int
    resumed: int
    ahead: int | None


def doubtsOf(known: Known, wanted: float) -> Iterator[str]:
    """
    Why sinks say too little of what is missing, a line for each that does.

    @param wanted: seconds of silence that each had to hear.
    @raise LedgerError: something can't be read again.
    """
    files = [file for file in known.sinks if not file.header.get("of")]
    boots = {_bootOf(file) for file in known.sources}
    run = _runOf(known.sources, known.clocks, boots, each=any({_bootOf(file)} != boots for file in files))
    sinks = [_sinkOf(file, known, run) for file in files]
    for sink in sinks:
        if sink.ahead is None:
            others = [other.ahead for other in sinks if _bootOf(other.file) == _bootOf(sink.file)]
            sink.ahead = min((ahead for ahead in others if ahead is not None), default=None)
    for sink in _answerable(sinks, run):
        if sink.ahead is None:
            yield (
                f"{sink.file.path}: nothing of this run has arrived there, and its clock is another machine's: whether "
                "it has listened until the end can't be known"
            )
            continue
        listened = (sink.end - max(sink.begin, sink.arrival, sink.resumed, run.end + sink.ahead)) / 1e9
        if listened < wanted:
            yield (
                f"{sink.file.path}: this sink has listened for no more than {max(0.0, listened):.1f} s without a break "
                f"after the last sign of the queue{', as far as clocks can tell' * bool(sink.ahead)}: expected "
                f"{wanted:g} s (--drain-quiet)"
            )


def _answerable(sinks: Sequence[_Sink], run: _Run) -> Sequence[_Sink]:
    """
    Those that must have listened until the end. A sink that was over when another one began on its machine has been
    started again as that one.
    """
    found = []
    for sink in sinks:
        if not sink.arrival and (sink.begin > run.end or sink.end < run.begin):
            continue  # it had no part in it
        heirs = [other for other in sinks if other.begin >= sink.end and _hostOf(other) == _hostOf(sink)]
        last = max(heirs, key=lambda heir: heir.end, default=sink)
        if last not in found:
            found.append(last)
    return found


def _hostOf(sink: _Sink) -> object:
    return sink.file.header.get("host")


def _bootOf(file: LedgerFile) -> str:
    return str(file.header.get("boot") or file.path)


def _runOf(files: Sequence[LedgerFile], clocks: Clocks, boots: set[str], *, each: bool) -> _Run:
    """
    @param each: look at each message.
    """
    numbers, times = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    begin, end = _NEVER, 0
    for file in files:
        shift = clocks.shift(file)
        for found in file.again():
            kinds: Any = found["kind"]
            acknowledged = (kinds == records.OUTCOME) & (found["flag"] == records.ACKNOWLEDGED)
            end = max(end, int(found["time"][acknowledged].max(initial=-shift)) + shift)
            intents = kinds == records.INTENT
            if intents.any():
                begin = min(begin, int(found["time"][intents].min()) + shift)
            if each:
                numbers.append(found["number"][intents])
                times.append(found["time"][intents] + shift)
    every, when = np.concatenate(numbers), np.concatenate(times)
    order = np.lexsort((when, every))
    some, first = np.unique(every[order], return_index=True)
    return _Run(begin, end, boots, some, when[order][first])


def _sinkOf(file: LedgerFile, known: Known, run: _Run) -> _Sink:
    shift = known.clocks.shift(file)
    begin, end = file.period()
    isSame = run.boots == {_bootOf(file)}
    latest, resumed, previous, ahead = 0, 0, begin, _NEVER
    for found in file.again():
        moments = found["time"][found["kind"] != records.TEXT]
        breaks = np.flatnonzero(np.diff(moments, prepend=previous) > DEAF * 1e9)
        if len(breaks):
            resumed = int(moments[breaks[-1]]) + shift
        previous = int(moments[-1]) if len(moments) else previous
        arrivals = found[(found["kind"] == records.ARRIVAL) & (found["run"] == known.run)]
        arrivals = arrivals[known.units.areSent(arrivals["number"])]
        if len(arrivals):
            times = arrivals["time"] + shift
            latest = max(latest, int(times.max()))
            if not isSame:
                sent = run.intents[np.searchsorted(run.numbers, arrivals["number"])]
                ahead = min(ahead, int((times - sent).min()))
    return _Sink(file, begin + shift, end + shift, latest, resumed, 0 if isSame else ahead if latest else None)
