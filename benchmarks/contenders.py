"""
The clients that are measured, and how each is told what to send.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import Server, postfix

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Load:
    """
    What to send.

    @ivar keep: many messages on one connection.
    @ivar pipelining: ours sends commands in groups; who can't goes on one command at a time.
    @ivar chunking: ours sends content by BDAT; the others by DATA.
    @ivar window: how many transactions ours has under way on each connection; the others one.
    @ivar tls: TLS begins every connection.
    @ivar length: bytes of body; L{None} for the few short lines of smtp-source(1).
    """

    sessions: int = 1
    keep: bool = False
    length: int | None = None
    lmtp: bool = False
    pipelining: bool = False
    chunking: bool = False
    window: int = 1
    tls: bool = False


class Contender:
    """
    A client.

    @cvar name: what it is called.
    @cvar timed: it can't be told how many messages to send: it runs for a time, and the server counts.
    @cvar does: what it does otherwise than smtp-source(1); for the reader of the table.
    """

    name: str
    timed = False
    does = ""

    def __init__(self, directory: Path, options: tuple[str, ...] = ()) -> None:
        """
        @param directory: for what it needs.
        @param options: more of them, for our own.
        """
        self.directory = directory
        self.options = options

    def missing(self) -> str | None:
        """
        Why it can't be used, or L{None}.
        """
        return None

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        """
        How to start it.
        """
        raise NotImplementedError


class _Postfix(Contender):
    def _words(self, load: Load, messages: int, server: Server) -> list[str]:
        words = ["-s", str(load.sessions), "-m", str(messages)]
        if load.keep:
            words.append("-d")
        if load.lmtp:
            words.append("-L")
        if load.length is not None:
            words += ["-l", str(load.length)]
        return [*words, server.destination]


class Ours(_Postfix):
    """
    This project's.
    """

    name = "smtpsource"

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        words = [sys.executable, "-m", "smtpsource", *self.options]
        if load.pipelining:
            words += ["--pipelining", "require"]
        if load.chunking:
            words += ["--chunking", "require"]
        if load.window > 1:
            words += ["--window", str(load.window)]
        if load.tls:
            words += ["--tls", "implicit"]
        return [*words, *self._words(load, messages, server)]


class PostfixSource(_Postfix):
    """
    Postfix's smtp-source(1).
    """

    name = "smtp-source"

    def missing(self) -> str | None:
        return None if postfix("smtp-source") else "not installed"

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        return [postfix("smtp-source") or "smtp-source", *self._words(load, messages, server)]


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def _made(program: Path, command: list[str]) -> str | None:
    """
    Make a program, unless it is there.

    @param command: what makes it.
    @return: why it can't be made, or L{None}.
    """
    if program.exists():
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return f"does not compile: {done.stderr.strip()}" if done.returncode else None


class Floor(Contender):
    """
    The least that a client can do: C{floor.c}.
    """

    name = "floor"
    does = "C; system calls only, no check of replies"

    def missing(self) -> str | None:
        compiler = _compiler()
        if compiler is None:
            return "no C compiler"
        program = self.directory / "floor"
        return _made(program, [compiler, "-O2", "-o", str(program), str(_HERE / "floor.c")])

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        words = [load.sessions, messages, server.port, int(load.keep), load.length or 0]
        return [str(self.directory / "floor"), *map(str, words)]


class TLSFloor(Contender):
    """
    The least that a client can do within TLS: C{tlsfloor.c}.
    """

    name = "tlsfloor"
    does = "C; OpenSSL of the system, no check of replies or certificates"

    def missing(self) -> str | None:
        compiler = _compiler()
        if compiler is None:
            return "no C compiler"
        command = [compiler, "-E", "-x", "c", "-include", "openssl/ssl.h", "/dev/null"]
        if subprocess.run(command, capture_output=True).returncode:
            return "no headers of OpenSSL (libssl-dev)"
        program = self.directory / "tlsfloor"
        source = _HERE / "tlsfloor.c"
        return _made(program, [compiler, "-O2", "-o", str(program), str(source), "-lssl", "-lcrypto"])

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        words = [load.sessions, messages, server.port, int(load.keep)]
        return [str(self.directory / "tlsfloor"), *map(str, words)]


class GoTLS(Contender):
    """
    A client in Go, whose TLS is Go's own.
    """

    name = "go"
    does = "Go; a goroutine for each session, no check of replies or certificates"

    def missing(self) -> str | None:
        compiler = shutil.which("go")
        if compiler is None:
            return "not installed"
        program = self.directory / "tlsclient"
        return _made(program, [compiler, "build", "-o", str(program), str(_HERE / "peers" / "tlsclient.go")])

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        words = [server.destination, messages, load.sessions, "1.3", "full", "keep" if load.keep else "new"]
        return [str(self.directory / "tlsclient"), *map(str, words)]


class TwistedMail(Contender):
    """
    SMTPSenderFactory of Twisted.
    """

    name = "twisted.mail"
    does = "a new connection for each message, as it always does"

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        words = [load.sessions, messages, server.port]
        return [sys.executable, str(_HERE / "peers" / "twistedmail.py"), *map(str, words)]


class Aiosmtplib(Contender):
    """
    aiosmtplib, from PyPI.
    """

    name = "aiosmtplib"
    does = "SMTP.sendmail with bytes"

    def missing(self) -> str | None:
        return None if importlib.util.find_spec("aiosmtplib") else "not installed"

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        words = [load.sessions, messages, server.port, int(load.keep)]
        return [sys.executable, str(_HERE / "peers" / "aiosmtplib_client.py"), *map(str, words)]


class Smtpping(Contender):
    """
    smtpping, a package of Debian.
    """

    name = "smtpping"
    does = "a process for each session, a new connection for each message"

    def missing(self) -> str | None:
        return None if shutil.which("smtpping") else "not installed"

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        message = self.directory / "message"
        message.write_bytes(b"Subject: load\r\n\r\n" + b"XXXXXXXX\r\n" * 4)
        words = f"-q -w 0 -P {load.sessions} -c {messages // load.sessions} -f {message} -p {server.port}".split()
        return ["smtpping", *words, "foo@example.com", "@127.0.0.1"]


class Postal(Contender):
    """
    postal, a package of Debian.
    """

    name = "postal"
    timed = True
    does = "C++; a thread for each session, random messages; with kept connections 500 messages on each, on average"

    def missing(self) -> str | None:
        return None if shutil.which("postal", path="/usr/sbin:/usr/bin") else "not installed"

    def command(self, load: Load, messages: int, server: Server) -> list[str]:
        users = self.directory / "users"
        users.write_text("foo@example.com\n")
        words = f"-t {load.sessions} -c {1000 if load.keep else 1} -m 0 -r 1000000".split()
        program = shutil.which("postal", path="/usr/sbin:/usr/bin") or "postal"
        return [program, *words, *(["-L"] if load.lmtp else []), f"[127.0.0.1]{server.port}", str(users)]


CONTENDERS: dict[str, type[Contender]] = {
    kind.name: kind for kind in (Ours, PostfixSource, Floor, TLSFloor, GoTLS, TwistedMail, Aiosmtplib, Smtpping, Postal)
}
