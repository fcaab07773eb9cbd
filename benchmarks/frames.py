"""
What the parent of many workers has to do: C{python -m benchmarks.frames}, and, if there are to be others than 16, how
many workers.

Frames of as many workers are made up, each of a second in which its worker sent 10,000 messages over kept connections.
They come through pipes, as from children, and what the parent does with them is measured: it reads and decodes them,
adds them to its recorder, and keeps a sample of each second for the report. The workers would keep a processor each
busy meanwhile.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from twisted.protocols.basic import Int32StringReceiver

from smtpsource.ledger.clocks import indexesOf
from smtpsource.load.gathered import Gathering
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Series
from smtpsource.measure.snapshot import take
from smtpsource.phases import DATA, MAIL, MESSAGE, NAMES, RCPT, TRANSACTION
from smtpsource.workers.wire import LONGEST, Kind, pack, unpack

#: Seconds that are made up, after one that does not count; and messages that a worker sends in one.
_SECONDS = 20
_RATE = 10_000

#: By phase, the middle one of its latencies in microseconds, and how far they lie apart.
_LATENCIES = {MAIL: (300, 0.3), RCPT: (300, 0.3), DATA: (300, 0.3), MESSAGE: (400, 0.4), TRANSACTION: (1300, 0.3)}


def _frames(worker: int) -> Iterator[Frame]:
    """
    What a worker brings.
    """
    draws = np.random.default_rng(worker)
    for second in range(1, _SECONDS + 2):
        buckets: list[dict[int, int]] = [{} for _ in NAMES]
        replies: list[dict[str, tuple[int, str]]] = [{} for _ in NAMES]
        for phase, (median, apart) in _LATENCIES.items():
            indexes, counts = np.unique(indexesOf(draws.lognormal(np.log(median), apart, _RATE)), return_counts=True)
            buckets[phase] = dict(zip(indexes.tolist(), counts.tolist(), strict=True))
            if phase != TRANSACTION:
                replies[phase] = {"354" if phase == DATA else "250": (_RATE, "250 2.0.0 Ok: queued as 3F4A512C0D")}
        yield Frame(
            number=second - 1,
            epoch=0,
            at=float(second),
            seconds=1.0,
            counters=Counters(
                _RATE, _RATE, recipientsAccepted=_RATE, open=100, bytesSent=3 << 20, bytesReceived=1 << 20
            ),
            buckets=buckets,
            replies=replies,
            errors={},
            cpu=(0.6, 0.39),
            lag=0.001,
            waited=0.01,
            gauges={"sessions": 100, "inFlight": 100, "ofWarmUp": 0, "running": 1},
        )


class _Link(Int32StringReceiver):
    """
    The parent's end of a pipe.
    """

    MAX_LENGTH = LONGEST

    def __init__(self, heard: Callable[[Kind, Any], None]) -> None:
        self._heard = heard

    def stringReceived(self, string: bytes) -> None:
        self._heard(*unpack(string))


class _Parent:
    """
    What it does with frames.
    """

    def __init__(self, workers: int) -> None:
        self.recorder = Recorder()
        self.series = Series()
        self._gathering = Gathering(self.recorder, workers, self._second)
        self._pipes = [os.pipe() for _ in range(workers)]
        self._links = [_Link(self._hears(worker)) for worker in range(workers)]

    def _hears(self, worker: int) -> Callable[[Kind, Any], None]:
        return lambda kind, body: self._gathering.add(worker, Frame.decode(body))

    def _second(self, frame: Frame) -> None:
        take(self.recorder, frame.at, None)  # for thresholds
        self.series.add(frame)

    def hear(self, worker: int, message: bytes) -> float:
        """
        A worker has something to say.

        @return: the CPU seconds that it took to hear it.
        """
        read, write = self._pipes[worker]
        os.write(write, len(message).to_bytes(4) + message)
        before = time.thread_time()
        self._links[worker].dataReceived(os.read(read, 1 << 16))
        return time.thread_time() - before


def main(arguments: list[str]) -> int:
    """
    Measure, and say what it was.

    @return: 1 if the parent takes more than it may.
    """
    workers = int(arguments[0]) if arguments else 16
    parent = _Parent(workers)
    made = [list(_frames(worker)) for worker in range(workers)]
    used = sum(len(buckets) for frame in made[0] for buckets in frame.buckets) / len(made[0])
    seconds, size = [], 0
    for frames in zip(*made, strict=True):
        messages = [pack(Kind.FRAME, frame.encode()) for frame in frames]
        size = sum(map(len, messages)) // workers
        seconds.append(sum(parent.hear(worker, message) for worker, message in enumerate(messages)))
    assert parent.recorder.accepted == workers * _RATE * (_SECONDS + 1)
    assert [one.accepted for one in parent.series.samples] == [workers * _RATE] * (_SECONDS + 1)
    assert all(later.time - earlier.time == 1.0 for earlier, later in pairwise(parent.series.samples))
    each = sum(seconds[1:]) / _SECONDS
    share = each / (workers + each)
    print(f"{workers} workers, {_RATE:,} messages/s each; frames of {used:.0f} buckets and {size:,} bytes")
    print(f"the parent takes {each * 1e3:.1f} ms of CPU a second: {share:.2%} of the run's; must 2%, aim 1%")
    return int(share > 0.02)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
