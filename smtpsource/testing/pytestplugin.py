"""
Fixtures for pytest: sinks in child processes. See docs/testsuites.rst.

pytest imports this in every run: what the fixtures need is imported when one of them is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from smtpsource.testing.remotesink import RemoteSink
    from smtpsource.testing.spawned import SpawnedSink

#: Who may log in to C{smtp_sink} and C{lmtp_sink}.
USERS = {"user": "secret"}

#: The sinks of a test, with their names.
_SINKS = pytest.StashKey[list[tuple[str, "RemoteSink"]]]()


class _Shared:
    """
    The sinks that tests use one after the other.
    """

    def __init__(self, directories: pytest.TempPathFactory) -> None:
        self._running: dict[str, SpawnedSink] = {}
        self._made: list[SpawnedSink] = []
        self._latest: dict[int, RemoteSink] = {}
        self._directories = directories
        self._directory: Path | None = None

    def get(self, name: str, **options: Any) -> SpawnedSink:
        """
        The sink of this name: a new one if there is none, or not any more.
        """
        from smtpsource.testing.spawned import SpawnedSink

        found = self._running.get(name)
        if found is not None and not found.isRunning():
            self.end(found)
            found = None
        if found is None:
            found = self._running[name] = SpawnedSink(options, USERS)
        return found

    def make(self, users: dict[str, str] | None = None, **options: Any) -> SpawnedSink:
        """
        A sink that nobody else has, until the end.
        """
        from smtpsource.testing.spawned import SpawnedSink

        self._made.append(SpawnedSink(options, users))
        return self._made[-1]

    def remote(self, spawned: SpawnedSink) -> RemoteSink:
        """
        A sink as it is.
        """
        from smtpsource.testing.remotesink import RemoteSink

        return RemoteSink(spawned, self.directory)

    def forTest(self, request: pytest.FixtureRequest, name: str, spawned: SpawnedSink) -> RemoteSink:
        """
        A sink as a test has it.
        """
        sink = self._latest[spawned.pid] = self.remote(spawned)
        sink.begin()
        request.node.stash.setdefault(_SINKS, []).append((name, sink))
        return sink

    def directory(self) -> Path:
        """
        Where files may be made; pytest sees to their end.
        """
        if self._directory is None:
            self._directory = self._directories.mktemp("smtp_sink")
        return self._directory

    def stop(self) -> None:
        """
        End all of them.
        """
        self.end(*self._running.values(), *self._made)

    def end(self, *sinks: SpawnedSink) -> None:
        """
        End some. The report of a test comes after that, if it fails in its end.
        """
        for sink in sinks:
            latest = self._latest.pop(sink.pid, None)
            if latest is not None:
                latest.remember()
            sink.stop()


@pytest.fixture(scope="session")
def _smtp_sinks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shared]:
    """
    The sinks that are shared.
    """
    shared = _Shared(tmp_path_factory)
    yield shared
    shared.stop()


@pytest.fixture
def smtp_sink(request: pytest.FixtureRequest, _smtp_sinks: _Shared) -> RemoteSink:
    """
    An SMTP server that keeps what it is sent; empty when the test begins.
    """
    return _smtp_sinks.forTest(request, "smtp_sink", _smtp_sinks.get("smtp_sink"))


@pytest.fixture
def lmtp_sink(request: pytest.FixtureRequest, _smtp_sinks: _Shared) -> RemoteSink:
    """
    The same for LMTP.
    """
    return _smtp_sinks.forTest(request, "lmtp_sink", _smtp_sinks.get("lmtp_sink", lmtp=True))


@pytest.fixture
def smtp_sink_factory(request: pytest.FixtureRequest, _smtp_sinks: _Shared) -> Iterator[Callable[..., RemoteSink]]:
    """
    Makes sinks for this test alone: C{smtp_sink_factory(max_recipients=3, users={"jane": "secret"})}. The keywords are
    the options of C{smtpsink}, with underscores for dashes.
    """
    from smtpsource.testing.spawned import SpawnedSink

    started: list[SpawnedSink] = []

    def make(users: dict[str, str] | None = None, **options: Any) -> RemoteSink:
        started.append(SpawnedSink(options, users))
        return _smtp_sinks.forTest(request, f"smtp_sink_factory {len(started)}", started[-1])

    yield make
    _smtp_sinks.end(*started)


@pytest.fixture(scope="session")
def smtp_sink_session(_smtp_sinks: _Shared) -> RemoteSink:
    """
    The server that C{smtp_sink} is in each test, for fixtures that need its address before: nothing in it is emptied.
    """
    return _smtp_sinks.remote(_smtp_sinks.get("smtp_sink"))


@pytest.fixture(scope="session")
def smtp_sink_session_factory(_smtp_sinks: _Shared) -> Callable[..., RemoteSink]:
    """
    Makes sinks as C{smtp_sink_factory} does, for fixtures of a wider scope. They end with the session, and nobody
    empties them but C{reset()}.
    """

    def make(users: dict[str, str] | None = None, **options: Any) -> RemoteSink:
        return _smtp_sinks.remote(_smtp_sinks.make(users, **options))

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    A test that fails shows what its sinks have heard and said.
    """
    report = yield
    if report.failed:
        report.sections.extend((name, sink.told()) for name, sink in item.stash.get(_SINKS, []))
    return report
