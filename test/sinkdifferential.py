"""
Compare what two sinks do: Debian's C{smtp-sink} of Postfix, the judge, and ours. Each is a process of its own in a
directory of its own, and the same client speaks to both.

The environment variable C{SMTPSOURCE_DIFFERENTIAL} with the value C{postfix} puts Postfix's program in the place of
ours, so that the comparison itself can be tried.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from differential import AGAINST_ITSELF, program
from keptmessages import filesBelow
from patience import PATIENCE

import smtpsource

#: What our sink offers and Postfix's doesn't know.
WITHOUT_MORE = (
    "--no-starttls",
    "--no-smtputf8",
    "--no-chunking",
    "--no-requiretls",
    "--no-mt-priority",
    "--no-deliverby",
)

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(smtpsource.__file__)))


@dataclass(frozen=True)
class Step:
    """
    Something that the client says, and what it waits for then.

    @ivar said: the bytes.
    @ivar replies: for how many replies it waits. It goes on sooner if the connection is closed.
    @ivar after: it is said only if what was answered before has this code.
    """

    said: bytes
    replies: int = 1
    after: bytes = b""


@dataclass
class Outcome:
    """
    What one sink has done.

    @ivar replies: to each step; the first one is the banner.
    @ivar times: how many seconds each of them took.
    @ivar end: C{"open"}, C{"closed"} or C{"reset"}.
    @ivar files: what is in its directory, by the names.
    @ivar errors: what it wrote to standard error.
    """

    replies: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    end: str = "open"
    files: dict[str, bytes] = field(default_factory=dict)
    errors: bytes = b""


class Client:
    """
    Speaks to a sink, and notes what it says.
    """

    def __init__(self, connection):
        self._connection = connection
        self.outcome = Outcome()

    def play(self, steps):
        """
        Hear the banner, and then take these steps.
        """
        for step in [Step(b""), *steps]:
            began = time.monotonic()
            reply = b""
            if not step.after or b"\n" + step.after in b"\n" + self.outcome.replies[-1]:
                self._say(step.said)
                reply = self._hear(step)
            self.outcome.times.append(time.monotonic() - began)
            self.outcome.replies.append(reply)
        return self.outcome

    def _say(self, said):
        try:
            self._connection.sendall(said)
        except OSError:
            if self.outcome.end == "open":
                self.outcome.end = "reset"

    def _hear(self, step):
        reply = b""
        deadline = time.monotonic() + PATIENCE
        while self.outcome.end == "open" and _complete(reply) < step.replies:
            reply += self._read(deadline)
        return reply

    def _read(self, deadline):
        self._connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self._connection.recv(65536)
        except ConnectionResetError:
            self.outcome.end = "reset"
            return b""
        if not data:
            self.outcome.end = "closed"
        return data


def _complete(replies):
    """
    @return: how many replies are there, of however many lines.
    """
    return len(re.findall(rb"^[0-9]{3}(?:[ \r][^\n]*)?\n", replies, re.MULTILINE))


@dataclass(frozen=True)
class Kind:
    """
    Which sink: Postfix's or ours.

    @ivar command: what starts it, without options.
    """

    name: str
    command: tuple[str, ...]


def postfix():
    """
    @return: Postfix's.
    """
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    return Kind("postfix", (program("smtp-sink"), *user))


def ours():
    """
    @return: ours.
    """
    if AGAINST_ITSELF:
        return postfix()
    return Kind("ours", (sys.executable, "-P", "-m", "smtpsource.sink", "--quiet", *WITHOUT_MORE))


def run(kind, options, steps, family="inet", directories=()):
    """
    Let a client speak to a new sink.

    @param options: of the sink; its directory is its own.
    @param family: C{"inet"}, C{"inet6"} or C{"unix"}.
    @param directories: names of some that are there.
    @return: the L{Outcome}.
    """
    directory = tempfile.mkdtemp(prefix="sinks-")
    try:
        for name in ("", *directories):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
            os.chmod(os.path.join(directory, name), 0o777)
        with _Sink(kind, options, family, directory) as sink:
            connection = sink.connect()
            with connection:
                outcome = Client(connection).play(steps)
            sink.settle(outcome)
            outcome.files = {name: text for name, text in filesBelow(directory).items() if name != "sink.err"}
            with open(os.path.join(directory, "sink.err"), "rb") as file:
                outcome.errors = file.read()
        return outcome
    finally:
        shutil.rmtree(directory)


def runBoth(options, steps, **others):
    """
    Let the same client speak to both at the same time.

    @param options: of both; others as in L{run}.
    @return: the L{Outcome}s of Postfix's and of ours.
    """
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(run, kind, options, steps, **others) for kind in (postfix(), ours())]
        return tuple(each.result() for each in runs)


class _Sink:
    """
    A process, with an address that was free.
    """

    def __init__(self, kind, options, family, directory):
        self._family, self._directory = family, directory
        host, self._where = {
            "inet": ("127.0.0.1", None),
            "inet6": ("[::1]", None),
            "unix": (None, os.path.join(directory, "socket")),
        }[family]
        if host is not None:
            self._where = _free(self._kind(), host.strip("[]"))
            address = f"inet:{host}:{self._where[1]}"
        else:
            address = f"unix:{self._where}"
        self._errors = open(os.path.join(directory, "sink.err"), "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*kind.command, *options, address, "10"],
            cwd=directory,
            env=dict(os.environ, PYTHONPATH=_ROOT),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _kind(self):
        return {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[self._family]

    def connect(self):
        """
        @return: a socket that is connected to it. It is tried until it listens.
        """
        end = time.monotonic() + PATIENCE
        while True:
            connection = socket.socket(self._kind(), socket.SOCK_STREAM)
            try:
                connection.connect(self._where)
                return connection
            except OSError:
                connection.close()
                if self._process.poll() is not None or time.monotonic() > end:
                    self._errors.flush()
                    with open(self._errors.name, "rb") as file:
                        raise AssertionError(f"does not listen: {file.read()!r}") from None
                time.sleep(0.02)

    def settle(self, outcome):
        """
        Another client is served after the first one has left: then all of that is done that is due to it.
        """
        if self._process.poll() is None:
            with self.connect() as connection:
                connection.settimeout(PATIENCE)
                try:
                    connection.recv(1000)
                except OSError:
                    pass


def _free(family, host):
    with socket.socket(family, socket.SOCK_STREAM) as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((host, 0))
        return free.getsockname()[:2]


# Making outcomes comparable

_ID = re.compile(rb"(?<= id )[0-9a-f]{8}(?=;\n)")
_DATE = re.compile(rb"(?<=\n\t)\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)(?=\n)")

#: The codes of a refusal, without its text.
_CODES = re.compile(rb"[45][0-9]{2}(?: [45]\.[0-9]\.[0-9])?")


def normalizedReplies(steps, outcome, texts=()):
    """
    What was answered to each step, without what our sink says in its own words or for good reasons; see
    docs/compatibility.rst.

    @param texts: replies that are compared as they are.
    """
    said = [b"", *(step.said for step in steps)]
    return [
        (command[:40], _normalized(command, reply, texts)) for command, reply in zip(said, outcome.replies, strict=True)
    ]


def _normalized(command, reply, texts):
    verb = command[:4].upper()
    lines = reply.splitlines()
    if verb in (b"EHLO", b"LHLO") and reply[:3] == b"250":
        keywords = {line[4:].partition(b" ")[0] for line in lines[1:]} - {b"", b"SIZE"}
        return [lines[0], *sorted(keywords)]
    if verb in (b"AUTH", b"XCLI") and reply[:1] == b"2":
        return [b"2.."]
    return [line if line in texts else _withoutText(verb, line) for line in lines]


def _withoutText(verb, line):
    if line[:3] in (b"221", b"354", b"550"):
        return line[:3]
    if verb == b"RSET" and line[:1] == b"2":
        return b"250 Ok"
    if verb == b"" and line[:3] == b"220":
        return line.replace(b"LMTP", b"ESMTP")
    codes = _CODES.match(line)
    return codes[0] if codes else line


def normalizedDump(text):
    """
    @return: a dump without what may rightly differ.
    """
    return _DATE.sub(b"DATE", _ID.sub(b"ID", text))


def normalizedFiles(outcome):
    """
    @return: the names, with C{ID} for the digits that end them if they are those of the message, and the contents.
    """
    found = []
    for name, text in outcome.files.items():
        digits = re.search(r"[0-9a-f]{8}\Z", name)
        if digits and b" id %b;" % digits[0].encode() in text:
            name = name[:-8] + "ID"
        found.append((name, normalizedDump(text)))
    return sorted(found)
