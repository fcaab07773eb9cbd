"""
What is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contenders import Load
from benchmarks.figures import Bar

_TWO = ("smtpsource", "smtp-source")
_IN_TLS = ("smtpsource", "tlsfloor", "go")
_SINKS = ("smtpsink", "smtp-sink")


@dataclass(frozen=True)
class Case:
    """
    One load, and who carries it.

    @ivar measure: a key of C{figures.MEASURES}: what the ratio is about.
    @ivar contenders: ours first, then the one to compare it with, which is Postfix's but for TLS, which that has not;
        then others. For a measure of the server they are servers.
    @ivar bar: what must be reached, if anything.
    @ivar few: messages of the small run, whose cost is subtracted.
    @ivar warmUp: messages of the warm-up's large run, from which the real number is computed.
    @ivar fixed: always send that many.
    @ivar unix: over a UNIX socket.
    @ivar hold: seconds that the server waits in each transaction.
    @ivar server: a key of C{servers.SERVERS}, if it has to be this one; C{None} for the one that is asked for.
    """

    name: str
    title: str
    load: Load
    warmUp: int
    measure: str = "cpu"
    contenders: tuple[str, ...] = _TWO
    bar: Bar | None = None
    fixed: bool = False
    unix: bool = False
    hold: int = 0
    server: str | None = None

    @property
    def few(self) -> int:
        """
        The least that uses every session.
        """
        return self.load.sessions


_ALL = (
    Case(
        "keep-1",
        "connection kept, 1 session",
        Load(1, True),
        1000,
        contenders=(*_TWO, "floor"),
    ),
    Case(
        "keep-20",
        "connections kept, 20 sessions",
        Load(20, True),
        2000,
        contenders=(*_TWO, "floor", "aiosmtplib", "postal"),
        bar=Bar(1.10, 1.00),
    ),
    Case(
        "keep-100",
        "connections kept, 100 sessions",
        Load(100, True),
        2000,
        contenders=(*_TWO, "floor"),
        bar=Bar(1.10, 1.00),
    ),
    Case(
        "keep-1000",
        "connections kept, 1000 sessions",
        Load(1000, True),
        5000,
        contenders=(*_TWO, "floor"),
    ),
    Case(
        "pipelined-20",
        "connections kept, 20 sessions, ours with pipelining",
        Load(20, True, pipelining=True),
        2000,
        bar=Bar(0.50, 0.40),
    ),
    Case(
        "window-20",
        "connections kept, 20 sessions, our sink; ours with pipelining, chunking and a window of 8",
        Load(20, True, pipelining=True, chunking=True, window=8),
        2000,
        bar=Bar(0.35, 0.20),
        server="smtpsink",
    ),
    Case(
        "new-20",
        "a new connection for each message, 20 sessions",
        Load(20),
        1000,
        contenders=(*_TWO, "floor", "twisted.mail", "aiosmtplib", "smtpping", "postal"),
        bar=Bar(1.30, 1.00),
    ),
    Case(
        "new-100",
        "a new connection for each message, 100 sessions",
        Load(100),
        1000,
        contenders=(*_TWO, "floor"),
    ),
    Case(
        "10kB",
        "bodies of 10,000 bytes, connections kept, 20 sessions",
        Load(20, True, 10_000),
        1000,
        contenders=(*_TWO, "floor"),
        bar=Bar(1.10, 1.00),
    ),
    Case(
        "1MB",
        "bodies of 1,000,000 bytes, connections kept, 20 sessions",
        Load(20, True, 1_000_000),
        100,
        contenders=(*_TWO, "floor"),
    ),
    Case(
        "lmtp",
        "LMTP, connections kept, 20 sessions",
        Load(20, True, lmtp=True),
        2000,
        contenders=(*_TWO, "postal"),
    ),
    Case(
        "keep-tls",
        "within TLS 1.3, connections kept, 20 sessions, our sink",
        Load(20, True, tls=True),
        2000,
        contenders=_IN_TLS,
        server="smtpsink",
    ),
    Case(
        "new-tls",
        "within TLS 1.3, a new connection for each message, 20 sessions, our sink",
        Load(20, tls=True),
        400,
        contenders=_IN_TLS,
        server="smtpsink",
    ),
    Case(
        "unix",
        "over a UNIX socket, connections kept, 20 sessions",
        Load(20, True),
        2000,
        unix=True,
    ),
    Case(
        "throughput",
        "speed, connections kept, 20 sessions",
        Load(20, True),
        2000,
        measure="rate",
        bar=Bar(0.95, 1.05),
    ),
    Case(
        "memory",
        "memory with 5,000 sessions open at once",
        Load(5000, True),
        5000,
        measure="memory",
        bar=Bar(0.5, 0.35),
        fixed=True,
        hold=20,
    ),
    Case(
        "start-up",
        "from start to end of a run with one message",
        Load(1),
        1,
        measure="wall",
        bar=Bar(500, 300, absolute=True),
        fixed=True,
    ),
    Case(
        "sink-keep",
        "the servers, connections kept, 20 sessions",
        Load(20, True),
        2000,
        measure="server-cpu",
        contenders=_SINKS,
        bar=Bar(1.2, 1.0),
    ),
    Case(
        "sink-new",
        "the servers, a new connection for each message, 20 sessions",
        Load(20),
        1000,
        measure="server-cpu",
        contenders=_SINKS,
    ),
)

CASES = {case.name: case for case in _ALL}
