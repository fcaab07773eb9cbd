"""
Workers without processes, for tests of their parent.
"""

from __future__ import annotations

from smtpsource._version import __version__
from smtpsource.measure.counters import Counters
from smtpsource.measure.frame import Frame
from smtpsource.phases import NAMES
from smtpsource.workers import wire
from smtpsource.workers.link import Link
from smtpsource.workers.wire import Kind


class FakeWorker(Link):
    """
    A worker that says what a test wants it to.

    @ivar told: what it was told so far: pairs of a kind and a body.
    @ivar killed: why it was killed, if it was; it is gone then.
    @ivar hangs: does it not even end when it is told to, before the run has begun?
    """

    hangs = False

    def __init__(self):
        self.told = []
        self.killed = None
        self.isGone = False

    def start(self):
        pass

    def send(self, kind, body=None):
        self.told.append(wire.unpack(wire.pack(kind, body)))
        if kind is Kind.ABORT and Kind.GO not in self.kinds() and not self.hangs:
            self.dies()

    def kill(self, reason):
        if self.killed is None:
            self.killed = reason
            self.dies(reason)

    # What a test makes it do

    def says(self, kind, body=None):
        self.heard(wire.pack(kind, body))

    def ready(self, ledger=None, version=__version__):
        self.says(Kind.READY, {"version": version, "pid": 1, "ledger": ledger})

    def dies(self, how=""):
        if not self.isGone:
            self.isGone = True
            self.gone(how)

    def wants(self, count, epoch=0):
        """
        @return: what it was lent, as a range.
        """
        before = len(self.told)
        self.says(Kind.WANT, {"count": count, "epoch": epoch})
        return self.lent(before)

    def lent(self, since=0):
        """
        @return: the numbers that it was lent since then, as a list.
        """
        leases = [body for kind, body in self.told[since:] if kind is Kind.LEASE]
        return [number for one in leases for number in range(one["first"], one["first"] + one["count"])]

    def ends(self, **told):
        self.says(Kind.END, told)
        self.dies()

    def kinds(self):
        return [kind for kind, _ in self.told]


def frame(
    number,
    started=0,
    accepted=0,
    *,
    at=None,
    epoch=0,
    last=False,
    gauges=None,
    asked=None,
    scheduledSeconds=None,
    **counts,
):
    """
    @return: a frame of the second of this number, encoded; all that was started and not accepted is in flight.
    """
    nothing = ({},) * len(NAMES)
    at = float(number) if at is None else at
    counters = Counters(started=started, accepted=accepted, **counts)
    others = {
        "asked": asked,
        "scheduledSeconds": scheduledSeconds,
        "gauges": gauges or {},
        "cpu": (0.25, 0.5),
        "last": last,
    }
    return Frame(number, epoch, at, 1.0, counters, nothing, nothing, {}, **others).encode()
