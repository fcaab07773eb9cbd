"""
Was it the generator that could not do more, and not the server? Every figure of a run depends on that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

#: CPU seconds per second from which on this process has no time left.
BUSY = 0.9

#: Seconds by which the reactor may be late without harm: it looks every 0.1 seconds, and reads a clock of milliseconds.
LAG = 0.05

#: Errors that say that this machine has run out of something, and what would help.
_RUN_OUT = {
    "out-of-files": "no file descriptors were left: raise the limit (ulimit -Hn), or use fewer sessions",
    "out-of-memory": "no memory was left: raise the limit (ulimit -v), or use smaller messages or fewer sessions",
    "out-of-ports": "no local ports were left: use --bind with more addresses, or keep connections (-d)",
}


def limits(busiest: float, worstLag: float, errors: Mapping[str, int], late: int, exhausted: bool) -> Iterator[str]:
    """
    Why the generator was the limit: a line for each reason, none if it was not.

    @param busiest: the most CPU seconds per second that it used in any second.
    @param worstLag: the most seconds by which the reactor was late.
    @param errors: how many there were of each kind.
    @param late: how many messages started late.
    @param exhausted: were all sessions busy when a message was wanted? Then the server may be the reason.
    """
    if busiest >= BUSY:
        yield (
            f"this process used {busiest:.0%} of a processor: it could not have done much more; for more load run "
            "several side by side"
        )
    if worstLag >= LAG:
        yield f"this process was held up for {worstLag * 1e3:.0f} ms: that long, latencies are its own and no server's"
    if late and not exhausted:
        yield f"{late} messages started late although sessions were free: this process could not keep up"
    for kind, help in _RUN_OUT.items():
        if errors.get(kind):
            yield help
