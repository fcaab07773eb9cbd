"""
For those who test with us: connections and whole runs in memory, without sockets, threads or waiting; and sinks for
tests of whatever sends mail.

C{runInMemory(plan, serverFactory)} runs a plan against a server's factory in no time; L{FakeReactor} lets a test decide
what becomes of each attempt to connect, and be the server itself; L{RecordingSession} notes what a protocol tells.
L{SinkFixture} is a sink for a test of trial; pytest has fixtures of its own (see docs/testsuites.rst).
"""

from __future__ import annotations

# pytest imports this in every run, also where nobody uses what is here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from smtpsource.testing.fixture import SinkFixture
    from smtpsource.testing.memory import Attempt, FakeConnector, FakeReactor, FakeTransport
    from smtpsource.testing.received import Envelope, ReceivedMessage, SessionFacts
    from smtpsource.testing.remotesink import RemoteSink
    from smtpsource.testing.runs import RecordingSession, runInMemory

__all__ = [
    "Attempt",
    "Envelope",
    "FakeConnector",
    "FakeReactor",
    "FakeTransport",
    "ReceivedMessage",
    "RecordingSession",
    "RemoteSink",
    "SessionFacts",
    "SinkFixture",
    "runInMemory",
]

_HOMES = {
    "Attempt": "memory",
    "Envelope": "received",
    "FakeConnector": "memory",
    "FakeReactor": "memory",
    "FakeTransport": "memory",
    "ReceivedMessage": "received",
    "RecordingSession": "runs",
    "RemoteSink": "remotesink",
    "SessionFacts": "received",
    "SinkFixture": "fixture",
    "runInMemory": "runs",
}

# Type checkers would take any name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name):
        """
        Import what is asked for, and no more.
        """
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """
    What there is, whether it was imported or not.
    """
    others = {"TYPE_CHECKING", "annotations"}
    return sorted(
        {*__all__, *(name for name in globals() if name not in others and (name[0] != "_" or name[:2] == "__"))}
    )
