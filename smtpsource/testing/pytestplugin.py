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
        self._directories = directories
        self._directory: Path | None = None

    def get(self, name: str, **options: Any) -> SpawnedSink:
        """
        The sink of this name: a new one if there is none, or not any more.
        """
        from smtpsource.testing.spawned import SpawnedSink

        found = self._running.get(name)
        if found is not None and not found.isRunning():
            found.stop()
            found = None
        if found is None:
            found = self._running[name] = SpawnedSink(options, USERS)
        return found

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
        for sink in self._running.values():
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
    return _forTest(request, _smtp_sinks, "smtp_sink", _smtp_sinks.get("smtp_sink"))


@pytest.fixture
def lmtp_sink(request: pytest.FixtureRequest, _smtp_sinks: _Shared) -> RemoteSink:
    """
    The same for LMTP.
    """
    return _forTest(request, _smtp_sinks, "lmtp_sink", _smtp_sinks.get("lmtp_sink", lmtp=True))


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
        return _forTest(request, _smtp_sinks, f"smtp_sink_factory {len(started)}", started[-1])

    yield make
    for sink in started:
        sink.stop()


def _forTest(request: pytest.FixtureRequest, shared: _Shared, name: str, spawned: SpawnedSink) -> RemoteSink:
    """
    A sink as this test has it.
    """
    from smtpsource.testing.remotesink import RemoteSink

    sink = RemoteSink(spawned, shared.directory)
    sink.reset()
    request.node.stash.setdefault(_SINKS, []).append((name, sink))
    return sink


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
