"""
The recorder of a run: what is counted while it goes on.
"""

from __future__ import annotations

from smtpsource.measure.counters import COUNTS, Counters
from smtpsource.measure.histogram import LINEAR, LatencyRecorder
from smtpsource.phases import NAMES, TRANSACTION
from smtpsource.speedups import compiled

#: The longest sample of a reply that is kept, in bytes.
SAMPLE_LENGTH = 200


@compiled
class Recorder(Counters):
    """
    Counters, reply codes and latencies of one run. Every counter is a plain number: whoever sees an event adds to it.

    @ivar capabilities: what the server announced in reply to the first EHLO or LHLO; C{None} if none was said.
    @ivar tls: how many connections have agreed on which version and cipher.
    @ivar buckets: for each phase, the buckets of its latencies; empty before the first.
    @ivar replies: for each phase, how often each reply code came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.latencies = [LatencyRecorder() for _ in NAMES]
        self.buckets = [latencies.counts for latencies in self.latencies]
        self.replies: list[dict[bytes, int]] = [{} for _ in NAMES]
        self.replySamples: list[dict[bytes, bytes]] = [{} for _ in NAMES]
        self.capabilities: dict[str, str] | None = None
        self.tls: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.errorSamples: dict[str, str] = {}

    @property
    def inFlight(self) -> int:
        """
        How many messages have no outcome yet.
        """
        return self.started - self.accepted - self.rejected - self.failed

    def restart(self) -> None:
        """
        Forget what was counted. Messages on their way are taken for the first that were started. What is known of the
        server, and how many connections are open, stays.
        """
        inFlight = self.inFlight
        for name in COUNTS:
            setattr(self, name, 0)
        self.started = inFlight
        # In place: the lists and dictionaries are held elsewhere, too.
        for buckets in self.buckets:
            buckets.clear()
        for codes, samples in zip(self.replies, self.replySamples, strict=True):
            codes.clear()
            samples.clear()
        self.errors.clear()
        self.errorSamples.clear()

    def reply(self, phase: int, seconds: float, code: bytes, text: bytes) -> None:
        """
        A reply came.

        @param phase: what it answers, from L{smtpsource.phases}.
        @param seconds: how long it took.
        @param code: its three digits.
        @param text: the whole reply, as received.
        """
        # This is called for every reply. LatencyRecorder.record does the same; a call less is worth it.
        microseconds = int(seconds * 1e6)
        buckets = self.buckets[phase]
        if 0 <= microseconds < LINEAR and buckets:
            buckets[microseconds] += 1
        else:
            self.latencies[phase].record(seconds)
        codes = self.replies[phase]
        try:
            codes[code] += 1
        except KeyError:
            self.firstReply(phase, code, text)

    def firstReply(self, phase: int, code: bytes, text: bytes) -> None:
        """
        A reply of a code that this phase has not had before.
        """
        self.replies[phase][code] = 1
        self.replySamples[phase][code] = text[:SAMPLE_LENGTH]

    def announced(self, capabilities: dict[str, str]) -> None:
        """
        A server has said what it can; the first one's word is kept.
        """
        if self.capabilities is None:
            self.capabilities = capabilities

    def handshake(self, phase: int, seconds: float, description: str) -> None:
        """
        A TLS handshake is complete.

        @param description: what was agreed upon: the protocol's version and the cipher.
        """
        self.latencies[phase].record(seconds)
        self.tls[description] = self.tls.get(description, 0) + 1

    def duration(self, phase: int, seconds: float) -> None:
        """
        A phase that no single reply ends took so long: connect, or the whole transaction.
        """
        self.latencies[phase].record(seconds)

    def transaction(self, seconds: float, recipientsAccepted: int) -> None:
        """
        A message was accepted.

        @param seconds: from MAIL written to the final reply.
        """
        self.accepted += 1
        self.recipientsAccepted += recipientsAccepted
        # As in C{reply}: once for each message.
        microseconds = int(seconds * 1e6)
        buckets = self.buckets[TRANSACTION]
        if 0 <= microseconds < LINEAR and buckets:
            buckets[microseconds] += 1
        else:
            self.latencies[TRANSACTION].record(seconds)

    def takeBack(self, number: int) -> int:
        """
        So many messages that were counted as accepted, with a recipient each, are found not to be: they have failed.

        @return: how many were taken back; no more than are counted since the warm-up.
        """
        number = min(number, self.accepted)
        self.accepted -= number
        self.failed += number
        self.takenBack += number
        self.recipientsAccepted = max(0, self.recipientsAccepted - number)
        return number

    def error(self, kind: str, sample: str) -> None:
        """
        Something went wrong that is not a reply.

        @param kind: its name in reports, such as C{"connection-lost"}.
        @param sample: the first one's text is kept.
        """
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.errorSamples.setdefault(kind, sample)
