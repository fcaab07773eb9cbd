"""
Was it the generator that could not do more, and not the server? Or has something else on this machine kept it from its
work? Every figure of a run depends on that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smtpsource.measure.series import Sample

#: CPU seconds per second from which on this process has no time left.
BUSY = 0.9

#: Seconds by which the reactor may be late without harm: it looks every 0.1 seconds, and reads a clock of milliseconds.
LAG = 0.05

#: The part of the time, or of the messages, from which on something matters: less is not seen in a 99th percentile, and
#: any machine has a moment in which it does something else.
MATTERS = 0.01

#: The part of the time that a process waits for a processor from which on it is disturbed. Generator and sink, side by
#: side on two processors, wait for less than half of that.
WAITED = 0.1

#: A second that is not whole says nothing of how busy a process is, if it is shorter than this.
_LEAST = 0.5

#: Errors that say that this machine has run out of something, and what would help.
_RUN_OUT = {
    "out-of-files": "no file descriptors were left: raise the limit (ulimit -Hn), or use fewer sessions",
    "out-of-memory": "no memory was left: raise the limit (ulimit -v), or use smaller messages or fewer sessions",
    "out-of-ports": "no local ports were left: use --bind with more addresses, or keep connections (-d)",
}


class _Delays:
    """
    Times in which the reactor did not come to its work.

    @ivar seconds: all of them together.
    @ivar longest: the longest.
    """

    def __init__(self) -> None:
        self.seconds = self.longest = 0.0

    def add(self, seconds: float) -> None:
        """
        Another one.
        """
        self.seconds += seconds
        self.longest = max(self.longest, seconds)


class Upkeep:
    """
    How well a process kept up with what it had to do.

    @ivar seconds: how long it was measured.
    @ivar busiest: the most CPU seconds per second that it used in any second.
    @ivar busy: for how many seconds it had no time left.
    @ivar waited: for how many seconds it could have run but had no processor; C{None} if the system does not tell.
    @ivar started: messages.
    @ivar late: how many of them started late.
    @ivar lateBusy: how many of these did while it had no time left.
    @ivar own: delays in which the process itself had other work to do.
    @ivar absent: delays in which it did not run.
    """

    def __init__(self) -> None:
        self.seconds = self.busiest = self.busy = 0.0
        self.waited: float | None = 0.0
        self.started = self.late = self.lateBusy = 0
        self.own = _Delays()
        self.absent = _Delays()

    def add(self, sample: Sample) -> None:
        """
        Another second has passed.
        """
        self.seconds += sample.seconds
        self.started += sample.started
        self.late += sample.late
        if sample.cpu >= BUSY:
            self.lateBusy += sample.late
        if sample.seconds >= _LEAST:
            self.busiest = max(self.busiest, sample.cpu)
            if sample.cpu >= BUSY:
                self.busy += sample.seconds
        if sample.waited is None or self.waited is None:
            self.waited = None
        else:
            self.waited += sample.waited * sample.seconds

    def delayed(self, seconds: float, used: float) -> None:
        """
        The reactor was late.

        @param seconds: by how much.
        @param used: the CPU seconds that the process used in this time.
        """
        if seconds >= LAG:
            (self.own if used >= seconds / 2 else self.absent).add(seconds)

    @property
    def waiting(self) -> float:
        """
        The part of the time in which it waited for a processor; 0 if that is not known.
        """
        return self.waited / self.seconds if self.waited and self.seconds else 0.0

    def matters(self, part: float) -> bool:
        """
        Are so many seconds enough of them to be seen in the figures?
        """
        return part > 0 and part >= MATTERS * self.seconds

    @property
    def tooLate(self) -> bool:
        """
        Are so many messages late that it matters?
        """
        return self.late > 0 and self.late >= MATTERS * self.started

    @property
    def itself(self) -> bool:
        """
        Was it this process that had too much to do, where messages were late?
        """
        return 2 * self.lateBusy >= self.late or self.own.seconds > self.absent.seconds


def limits(upkeep: Upkeep, errors: Mapping[str, int], exhausted: bool) -> Iterator[str]:
    """
    Why the generator was the limit: a line for each reason, none if it was not.

    @param errors: how many there were of each kind.
    @param exhausted: were all sessions busy when a message was wanted? Then the server may be why messages were late.
    """
    if upkeep.matters(upkeep.busy):
        rest = upkeep.seconds - upkeep.busy
        part = f" in {upkeep.busy:.0f} of {upkeep.seconds:.0f} seconds" if rest >= 1 else ""
        yield (
            f"this process used {upkeep.busiest:.0%} of a processor{part}: it could not have done much more; for more "
            "load use more workers (--workers)"
        )
    if upkeep.matters(upkeep.own.seconds):
        yield (
            f"this process was held up for {_milliseconds(upkeep.own)} by work of its own: that long, latencies are "
            "its own and no server's"
        )
    if upkeep.tooLate and upkeep.itself and not exhausted:
        yield f"{_late(upkeep)} started late although sessions were free: this process could not keep up"
    for kind, help in _RUN_OUT.items():
        if errors.get(kind):
            yield help


def disturbances(upkeep: Upkeep, exhausted: bool) -> Iterator[str]:
    """
    What kept this process from its work, though it had time for it: a line for each.

    @param exhausted: as in L{limits}.
    """
    if upkeep.matters(upkeep.absent.seconds):
        yield (
            f"this process did not run for {_milliseconds(upkeep.absent)}, though it had work to do: it was stopped, "
            "or this machine did something else; that long, latencies are its own and no server's"
        )
    if upkeep.seconds >= _LEAST and upkeep.waiting >= WAITED:
        # Then it does not matter who has made messages late, or sessions busy.
        late = f"; {_late(upkeep)} started late" if upkeep.tooLate else ""
        yield (
            f"this process waited for a processor for {min(1.0, upkeep.waiting):.0%} of the time, as other processes "
            f"had it (the server's as well, if it runs here): latencies are longer by that{late}"
        )
    elif upkeep.tooLate and not upkeep.itself and not exhausted:
        yield (
            f"{_late(upkeep)} started late although sessions were free and this process had time: it used no more than "
            f"{upkeep.busiest:.0%} of a processor"
        )


def _late(upkeep: Upkeep) -> str:
    return f"{upkeep.late} of {upkeep.started} messages ({upkeep.late / max(1, upkeep.started):.1%})"


def _milliseconds(delays: _Delays) -> str:
    text = f"{delays.seconds * 1e3:.0f} ms"
    return text if delays.longest == delays.seconds else f"{text}, up to {delays.longest * 1e3:.0f} ms at once"
