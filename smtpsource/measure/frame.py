"""
Frames: what one generator brought in a second, to be added to what others did.

A frame is the only thing that is ever merged: of workers, of machines, of the seconds of a run.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import field, replace
from itertools import compress
from typing import Any

from smtpsource.measure.counters import COUNTS, Counters, together, totals, worst
from smtpsource.measure.histogram import pieces
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.snapshot import Snapshot
from smtpsource.phases import NAMES
from smtpsource.records import dataclass

#: Latencies of one phase: bucket by bucket, how many; empty ones are left out.
Buckets = Mapping[int, int]

#: For a key such as a reply code, how often it came, and the first one's text.
Tallies = Mapping[str, tuple[int, str]]


@dataclass(frozen=True)
class Frame:
    """
    What happened between two moments. All that is counted is the difference; gauges are as they were in the end.

    @ivar number: of this generator's frames, from 0 on.
    @ivar epoch: 0; or 1 in a run with a warm-up, when that is over.
    @ivar at: when it ended, in seconds from the start of the epoch.
    @ivar seconds: how long it was.
    @ivar counters: see L{Counters}; C{open} is a gauge.
    @ivar buckets: for each phase, in the order of L{NAMES}.
    @ivar replies: for each phase likewise, by reply code.
    @ivar errors: by kind.
    @ivar tls: how many connections have agreed on which version and cipher.
    @ivar capabilities: what the server announced first; C{None} before.
    @ivar asked: how many messages the schedule asked for in this time; C{None} without one.
    @ivar scheduledSeconds: for how many seconds it did, up to the end of the frame; C{None} likewise.
    @ivar cpu: CPU seconds that this process used in this time: user and system.
    @ivar lag: the most seconds by which the reactor was late.
    @ivar waited: for how many seconds the process could have run but had no processor; C{None} if nobody knows.
    @ivar gauges: other numbers as they are at the end of it, by name: sessions, overdue messages. They are added up.
    @ivar watched: figures of the server and of others that are watched, as they are at the end of it, by name: see
        L{smtpsource.measure.watched}. They are no generator's.
    @ivar last: there are no more of this generator.
    """

    number: int
    epoch: int
    at: float
    seconds: float
    counters: Counters
    buckets: Sequence[Buckets]
    replies: Sequence[Tallies]
    errors: Tallies
    tls: Mapping[str, int] = field(default_factory=dict)
    capabilities: Mapping[str, str] | None = None
    asked: float | None = None
    scheduledSeconds: float | None = None
    cpu: tuple[float, float] = (0.0, 0.0)
    lag: float = 0.0
    waited: float | None = None
    gauges: Mapping[str, float] = field(default_factory=dict)
    watched: Mapping[str, float] = field(default_factory=dict)
    last: bool = False

    def addTo(self, recorder: Recorder) -> None:
        """
        Count what another recorder has counted. A gauge is not set: it is of one generator.
        """
        for name in COUNTS:
            setattr(recorder, name, getattr(recorder, name) + getattr(self.counters, name))
        for latencies, buckets in zip(recorder.latencies, self.buckets, strict=True):
            latencies.add(buckets)
        for phase, codes in enumerate(self.replies):
            for code, (count, sample) in codes.items():
                key = code.encode("latin-1")
                if key not in recorder.replies[phase]:
                    recorder.firstReply(phase, key, sample.encode("latin-1"))
                    count -= 1
                recorder.replies[phase][key] += count
        for kind, (count, sample) in self.errors.items():
            recorder.errors[kind] = recorder.errors.get(kind, 0) + count
            recorder.errorSamples.setdefault(kind, sample)
        for description, count in self.tls.items():
            recorder.tls[description] = recorder.tls.get(description, 0) + count
        if self.capabilities is not None:
            recorder.announced(dict(self.capabilities))

    def encode(self) -> bytes:
        """
        The frame as bytes.
        """
        from smtpsource.measure.frameformat import encode  # for those who send them

        return encode(vars(self))

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        """
        The opposite of L{encode}. It may be anybody's data: no more is made of it than of a frame of ours in which all
        buckets of all phases are used, which is some tens of megabytes.

        @raise ValueError: it is none, or one of another version; the text is one line.
        """
        from smtpsource.measure.frameformat import decode

        return cls(**decode(data))


def merged(frames: Iterable[Frame]) -> Frame:
    """
    Frames of several generators and of the same time, as one: counts and gauges are added, CPU seconds too; the length
    and the lag are the longest. Its number and epoch are those of the first.

    @param frames: at least one.
    """
    those = list(frames)
    first = those[0]
    at = max(frame.at for frame in those)
    return replace(
        first,
        at=at,
        seconds=at - min(frame.at - frame.seconds for frame in those),
        counters=sum((frame.counters for frame in those), Counters()),
        buckets=[totals(frame.buckets[phase] for frame in those) for phase in range(len(NAMES))],
        replies=[_together(frame.replies[phase] for frame in those) for phase in range(len(NAMES))],
        errors=_together(frame.errors for frame in those),
        tls=totals(frame.tls for frame in those),
        capabilities=next((frame.capabilities for frame in those if frame.capabilities is not None), None),
        asked=together(*(frame.asked for frame in those)),
        scheduledSeconds=worst(*(frame.scheduledSeconds for frame in those)),
        cpu=(sum(frame.cpu[0] for frame in those), sum(frame.cpu[1] for frame in those)),
        lag=max(frame.lag for frame in those),
        waited=worst(*(frame.waited for frame in those)),
        gauges=totals(frame.gauges for frame in those),
        watched={name: value for frame in those for name, value in frame.watched.items()},
        last=all(frame.last for frame in those),
    )


def continued(frames: Iterable[Frame]) -> Frame:
    """
    Frames of one generator and one epoch, each after the one before, as one: what nobody has asked for in the meantime.

    @param frames: at least one.
    """
    those = list(frames)
    latest = those[-1]
    return replace(
        merged(those),
        number=latest.number,
        at=latest.at,
        counters=sum((frame.counters for frame in those[:-1]), Counters()).then(latest.counters),
        scheduledSeconds=latest.scheduledSeconds,
        waited=together(*(frame.waited for frame in those)),
        gauges=latest.gauges,
        last=latest.last,
    )


class Frames:
    """
    Cuts what a recorder counts into frames, one after the other.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._number = self._epoch = 0
        self._tls: dict[str, int] = {}
        self._announced = False
        self._forget()

    def restart(self) -> None:
        """
        The recorder has forgotten what it had counted: another epoch begins. What is known of the server stays.
        """
        self._epoch += 1
        self._forget()

    def _forget(self) -> None:
        self._before = Snapshot(0.0, 0.0, Counters(), ((),) * len(NAMES))
        self._replies: list[dict[bytes, int]] = [{} for _ in NAMES]
        self._errors: dict[str, int] = {}

    def cut(self, now: Snapshot, phases: Container[int] = range(len(NAMES)), **others: Any) -> Frame:
        """
        What has happened since the last one.

        @param now: what the recorder has counted by now, as L{smtpsource.measure.snapshot.take} gives it.
        @param phases: those of which somebody wants the latencies; each takes some 0.1 milliseconds.
        @param others: as for L{Frame}.
        """
        recorder, before = self._recorder, self._before
        replies = [codes.copy() for codes in recorder.replies]
        errors, tls = recorder.errors.copy(), recorder.tls.copy()
        frame = Frame(
            number=self._number,
            epoch=self._epoch,
            at=now.at,
            seconds=now.at - before.at,
            counters=now.counters - before.counters,
            buckets=[
                _used(now.buckets[phase], before.buckets[phase]) if phase in phases else {}
                for phase in range(len(NAMES))
            ],
            replies=[
                {code.decode("latin-1"): (count, texts[code].decode("latin-1")) for code, count in _more(counts, known)}
                for counts, known, texts in zip(replies, self._replies, recorder.replySamples, strict=True)
            ],
            errors={kind: (count, recorder.errorSamples[kind]) for kind, count in _more(errors, self._errors)},
            tls=dict(_more(tls, self._tls)),
            capabilities=None if self._announced else recorder.capabilities,
            asked=None if now.asked is None else now.asked - (before.asked or 0),
            scheduledSeconds=now.scheduledSeconds,
            **others,
        )
        self._number += 1
        self._before, self._replies, self._errors, self._tls = now, replies, errors, tls
        self._announced = recorder.capabilities is not None
        return frame


def _more(now: Mapping[Any, int], before: Mapping[Any, int]) -> Iterable[tuple[Any, int]]:
    """
    By how much each of these has grown, if it has.
    """
    return [(key, count - before.get(key, 0)) for key, count in now.items() if count != before.get(key, 0)]


def _used(now: Sequence[int], before: Sequence[int]) -> dict[int, int]:
    """
    The buckets that are not as they were, and by how much.
    """
    found: dict[int, int] = {}
    for start, counts in pieces(now, before):
        found.update(zip(compress(range(start, start + len(counts)), counts), filter(None, counts), strict=True))
    return found


def _together(those: Iterable[Tallies]) -> dict[str, tuple[int, str]]:
    total: dict[str, tuple[int, str]] = {}
    for one in those:
        for key, (count, sample) in one.items():
            known = total.get(key)
            total[key] = (count, sample) if known is None else (known[0] + count, known[1])
    return total
