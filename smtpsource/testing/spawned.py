"""
A sink as a child process of a program that knows nothing of Twisted. See L{smtpsource.testing.child} for the other end.

The child ends when its standard input does, or its parent is gone: so it ends with that, whatever becomes of it.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from smtpsource.process.children import environment, program

#: Seconds a child may take to listen.
START_TIMEOUT = 120.0

#: Seconds it may take to end.
STOP_TIMEOUT = 30.0

#: The child.
_PROGRAM = program("smtpsource.testing.child")


class SpawnedSink:
    """
    The parent's end: one child, that runs.

    @ivar host: where it listens; empty for a UNIX socket.
    @ivar port: likewise; 0 for a UNIX socket.
    @ivar path: of a UNIX socket; empty for a host and port.
    @ivar lmtp: it speaks LMTP and not SMTP.
    @ivar tls: connections begin with TLS.
    @ivar users: who may log in; C{None} is everybody.
    @ivar dns: the address and port of its name server; C{None} if it has none.
    @ivar keep: how many messages it keeps.
    @ivar keepBytes: of how many octets in all.
    @ivar rules: those that it has from the beginning.
    @ivar controlHost: where it is controlled.
    @ivar controlPort: likewise.
    @ivar token: for that.
    @ivar certificates: a file in PEM that a client can verify it by; empty if it has made a certificate of its own.
    @ivar certificate: that one, in PEM; empty if it has none.
    @ivar pid: of the process.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        users: Mapping[str, str] | None = None,
        timeout: float = START_TIMEOUT,
    ) -> None:
        """
        Start it, and wait until it listens.

        @param options: those of C{smtpsink} by their long names, with underscores for dashes; C{address} is where it
            listens, any free port of 127.0.0.1 unless given. C{True} is for an option without a value, a list for one
            that may be repeated.
        @param timeout: seconds it may take.
        @raise ValueError: an option can't be used; the text is one line.
        @raise RuntimeError: it could not be started; the text is one line.
        """
        self.users = None if users is None else MappingProxyType(dict(users))
        self.token = secrets.token_urlsafe(24)
        self._process = subprocess.Popen(
            # -P: the current directory is whatever it is; nothing may be imported from there.
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            # Nothing of it is left to be written by a process that this one forks.
            bufsize=0,
        )
        self.pid = self._process.pid
        self._parent = os.getpid()
        _running.add(self)
        try:
            self._begin(options, timeout)
        except BaseException:
            self.stop(0.0)
            raise

    def _begin(self, options: Mapping[str, Any], timeout: float) -> None:
        asked = {"options": _plain(options), "users": _plain(self.users), "token": self.token, "parent": os.getpid()}
        assert self._process.stdin is not None
        try:
            _writeAll(self._process.stdin.fileno(), json.dumps(asked).encode("ascii") + b"\n")
        except BrokenPipeError:
            # Why it has ended is on standard error.
            pass
        said = json.loads(self._line(timeout))
        if "problem" in said:
            raise (ValueError if said["isUsage"] else RuntimeError)(said["problem"])
        self.host, self.port, self.path = str(said["host"]), int(said["port"]), str(said["path"])
        self.lmtp, self.tls = bool(said["lmtp"]), bool(said["tls"])
        self.rules = dict(said["rules"])
        self.dns = None if said["dns"] is None else (str(said["dns"][0]), int(said["dns"][1]))
        self.keep, self.keepBytes = int(said["keep"]), int(said["keepBytes"])
        host, _, port = str(said["control"]).rpartition(":")
        self.controlHost, self.controlPort = host, int(port)
        self.certificates, self.certificate = str(said["certificates"]), str(said["certificate"])

    def _line(self, timeout: float) -> bytes:
        """
        The line that it says when it listens, or can't.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise RuntimeError(f"the sink did not listen within {timeout:g} seconds")
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    raise RuntimeError(f"the sink ended before it listened, with status {self._process.wait()}")
                line += data
        return line

    def letGo(self) -> None:
        """
        Close this end, in a process that was forked from the parent.
        """
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def isRunning(self) -> bool:
        """
        Has it not ended?
        """
        return self._process.poll() is None

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """
        End it; it is killed if it does not end by itself. May be called any number of times. In a process that was
        forked from the parent this does nothing.

        @param timeout: seconds it may take.
        """
        if os.getpid() != self._parent:
            return
        assert self._process.stdin is not None and self._process.stdout is not None
        if not self._process.stdin.closed:
            try:
                # Somebody else may have this end of the pipe too.
                os.write(self._process.stdin.fileno(), b"end\n")
            except BrokenPipeError:
                # It has ended without reading all that it was told.
                pass
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


#: All of them, as far as somebody has them.
_running: weakref.WeakSet[SpawnedSink] = weakref.WeakSet()


def _letGo() -> None:
    for sink in list(_running):
        sink.letGo()


os.register_at_fork(after_in_child=_letGo)


def _writeAll(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _plain(value: Any) -> Any:
    """
    A value as JSON has it; all that is nothing else is a text.
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool):
        return value
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
