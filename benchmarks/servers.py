"""
The servers: Postfix's smtp-sink, and our own.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from benchmarks import measure

#: How many clients a server takes at a time, and may have waiting.
CAPACITY = 6000

#: How long a server may take to start, in seconds.
_PATIENCE = 120.0


def postfix(program: str) -> str | None:
    """
    The path of a program of Postfix's, which may be where only administrators look.
    """
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/bin")))


def freePort(host: str = "127.0.0.1") -> int:
    """
    A port on which nobody listens now.
    """
    with socket.create_server((host, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Server:
    """
    A server in a process of its own, for as long as the C{with} lasts.

    @cvar host: where it listens.
    @ivar destination: what smtp-source calls it.
    @ivar port: its port there, if it has one.
    @ivar path: its UNIX socket, if it has one.
    @ivar pid: its process.
    """

    host = "127.0.0.1"
    port: int | None = None
    path: Path | None = None

    def __init__(
        self,
        directory: Path,
        processor: int | None = None,
        lmtp: bool = False,
        unix: bool = False,
        hold: int = 0,
        counting: bool = False,
        tls: bool = False,
    ) -> None:
        """
        @param directory: for its logs, and its socket.
        @param tls: TLS begins every connection, with a certificate that nobody knows.
        @param hold: seconds that each DATA waits for its reply.
        @param counting: it has to know how many messages came.
        """
        self._directory = directory
        self._processor = processor
        self._lmtp = lmtp
        self._hold = hold
        self._counting = counting
        self._tls = tls
        self._count = directory / f"{type(self).__name__}.count"
        self._log = directory / f"{type(self).__name__}.log"
        if unix:
            self.path = directory / f"{type(self).__name__}.sock"
            self.destination = f"unix:{self.path}"
        else:
            self.port = freePort(self.host)
            self.destination = f"{self.host}:{self.port}"

    @staticmethod
    def missing() -> str | None:
        """
        Why it can't be used, or L{None}.
        """
        return None

    def command(self) -> list[str]:
        """
        How to start it.
        """
        raise NotImplementedError

    def __enter__(self) -> Server:
        with open(self._count, "wb") as out, open(self._log, "wb") as err:
            self._process = measure.start(self.command(), self._directory, out, err, self._processor)
        self.pid = self._process.pid
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end()
                raise measure.RunFailed(f"{type(self).__name__} did not start: {measure.lastLine(self._log)}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            with self._connected() as client:
                if not client.recv(1024).startswith(b"220"):
                    return False
                client.sendall(b"QUIT\r\n")
                return client.recv(1024).startswith(b"221")
        except OSError:
            return False

    def _connected(self) -> socket.socket:
        """
        @raise OSError: it takes no connections.
        """
        client = socket.socket(socket.AF_INET if self.path is None else socket.AF_UNIX)
        try:
            client.settimeout(_PATIENCE)
            client.connect((self.host, self.port) if self.path is None else str(self.path))
            if not self._tls:
                return client
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context.wrap_socket(client)
        except OSError:
            client.close()
            raise

    def messages(self) -> int:
        """
        How many messages came so far, if it counts.
        """
        with open(self._count, "rb") as file:
            file.seek(max(0, os.path.getsize(self._count) - 200))
            found = re.findall(rb"mesg=(\d+)\s", file.read())
        return int(found[-1]) if found else 0

    def connections(self) -> int | None:
        """
        How many files it has open, which but for a handful are connections; L{None} if we may not know.
        """
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return None


class PostfixSink(Server):
    """
    Postfix's smtp-sink(1).
    """

    @staticmethod
    def missing() -> str | None:
        return None if postfix("smtp-sink") else "not installed"

    def command(self) -> list[str]:
        words = [postfix("smtp-sink") or "smtp-sink", "-m", str(CAPACITY)]
        if os.geteuid() == 0:
            words += ["-u", "nobody"]
        if self._lmtp:
            words.append("-L")
        if self._counting:
            words.append("-c")
        if self._hold:
            words += ["-w", str(self._hold)]
        return [*words, self.destination, "4096"]


class OurSink(Server):
    """
    The sink of this project.
    """

    def command(self) -> list[str]:
        words = [sys.executable, "-m", "smtpsource.sink", "-m", str(CAPACITY)]
        if self._lmtp:
            words.append("-L")
        if self._counting:
            words.append("-c")
        if self._tls:
            words.append("--tls")
        return [*words, self.destination, "4096"]


SERVERS: dict[str, type[Server]] = {"smtpsink": OurSink, "smtp-sink": PostfixSink}
