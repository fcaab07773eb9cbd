"""
Compare what two load generators say to a server: Postfix's own C{smtp-source}, the judge, and ours.

L{runBoth} runs each of them as a process of its own against a L{recording.RecordingServer} of its own with
the same script, and hands back a L{Run} of each.  L{differences} compares two runs, after everything that
may rightly differ has been made the same by L{normalized}.

The environment variable C{SMTPSOURCE_DIFFERENTIAL} names the program to be put in our program's place:
C{postfix} stands for Postfix's, so that the comparison itself can be tried, and anything else is a command
line.
"""

from __future__ import annotations

import atexit
import difflib
import email.utils
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest import SkipTest

from patience import PATIENCE
from recording import Message, RecordingServer
from twisted.internet import defer, error, protocol
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol

_ROOT = Path(__file__).resolve().parent.parent


def program(name):
    """
    Find a program, also one that only an administrator has in the search path.

    @param name: its name.

    @return: its path.
    @raise SkipTest: if it isn't installed; where C{CI} is set in the environment that is an error instead.
    """
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin")
    if path is None:
        missing = f"{name} isn't installed"
        if os.environ.get("CI"):
            raise RuntimeError(missing)
        raise SkipTest(missing)
    return path


def postfixCommand():
    """
    @return: the command line that starts Postfix's smtp-source, without its options.
    """
    return [program("smtp-source")]


#: Whether Postfix's program is compared with itself.
AGAINST_ITSELF = os.environ.get("SMTPSOURCE_DIFFERENTIAL") == "postfix"


def ourCommand():
    """
    @return: the command line that starts our program, without its options.
    """
    if AGAINST_ITSELF:
        return postfixCommand()
    instead = os.environ.get("SMTPSOURCE_DIFFERENTIAL")
    if instead:
        return shlex.split(instead)
    return [sys.executable, "-m", "smtpsource", "--quiet"]


# Processes


@dataclass(frozen=True)
class Finished:
    """
    A process that came to its end.

    @ivar status: its exit status; C{None} if a signal ended it.
    @ivar signal: the signal that ended it, or C{None}.
    @ivar out: what it wrote to standard output.
    @ivar err: what it wrote to standard error.
    @ivar seconds: how long it ran.
    @ivar overdue: whether it had to be killed because it ran for too long.
    """

    status: int | None
    signal: int | None
    out: bytes
    err: bytes
    seconds: float
    overdue: bool = False


class Killable(protocol.ProcessProtocol):
    """
    A process that may run for so long and no longer.
    """

    _overdue = False

    def _isOverdue(self):
        self._overdue = True
        self._kill()

    def _kill(self):
        try:
            self.transport.signalProcess("KILL")
        except error.ProcessExitedAlready:
            pass


class _Process(Killable):
    """
    Collects the output of a process, and kills it when it is overdue.
    """

    def __init__(self, reactor, deadline, fatal):
        self.finished = defer.Deferred(self._cancelled)
        self._reactor = reactor
        self._out = bytearray()
        self._err = bytearray()
        self._fatal = fatal
        self._dying = False
        self._overdue = False
        self._started = time.monotonic()
        self._timer = reactor.callLater(deadline, self._isOverdue)

    def outReceived(self, data):
        self._out += data

    def errReceived(self, data):
        self._err += data
        if self._fatal is not None and not self._dying and self._fatal.search(self._err):
            self._dying = True
            self._kill()

    def _cancelled(self, deferred):
        # A test that is out of time; nobody waits for the end any more.
        self._kill()
        if self._timer.active():
            self._timer.cancel()

    def processEnded(self, reason):
        if self._timer.active():
            self._timer.cancel()
        status, number = reason.value.exitCode, reason.value.signal
        if self._dying and number == signal.SIGKILL:
            status, number = 1, None
        if self.finished.called:
            return
        seconds = time.monotonic() - self._started
        self.finished.callback(Finished(status, number, bytes(self._out), bytes(self._err), seconds, self._overdue))


def run(command, deadline=PATIENCE, env=None, cwd=None, fatal=None, reactor=None):
    """
    Run a program to its end.

    @param command: the program's path and its arguments, texts or bytes.
    @param deadline: after so many seconds it is killed.
    @param env: more environment variables, on top of our own.
    @param cwd: the directory to run it in.
    @param fatal: a regular expression; as soon as it matches what the program wrote to standard error, the
        program is taken to have ended with status 1 and is killed.  (Postfix's programs sleep for a second
        after a fatal error.)
    @param reactor: the reactor to run it with; the global one if left out.

    @return: a L{defer.Deferred} that fires with a L{Finished}.  Cancelling it kills the program.
    """
    if reactor is None:
        from twisted.internet import reactor
    process = _Process(reactor, deadline, fatal)
    environment = dict(os.environ, **(env or {}))
    reactor.spawnProcess(process, os.fspath(command[0]), list(map(os.fsencode, command)), env=environment, path=cwd)
    return process.finished


_FATAL = re.compile(rb": fatal: .*\n")


def runPostfix(arguments, deadline=PATIENCE, reactor=None):
    """
    Run Postfix's smtp-source; see L{run}.
    """
    return run(postfixCommand() + list(arguments), deadline, fatal=_FATAL, reactor=reactor)


def _ourEnvironment():
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "PYTHONWARNINGS": "default"}


def runOurs(arguments, deadline=PATIENCE, reactor=None):
    """
    Run our program from the source tree; see L{run}.
    """
    command = ourCommand()
    fatal = _FATAL if command[0].endswith("smtp-source") else None
    return run(command + list(arguments), deadline, env=_ourEnvironment(), fatal=fatal, reactor=reactor)


# Starting our program without waiting for Python to import all of it, which takes longer than most runs


_WARM = """
import os, runpy, select, signal, socket, sys

listener = socket.socket(fileno=int(sys.argv[1]))
module = sys.argv[2]
__import__(module + ".__main__")
del sys.modules[module + ".__main__"]
__import__("twisted.internet.default")
__import__("twisted.internet.unix")
__import__("hdrh.histogram")
if "twisted.internet.reactor" in sys.modules:
    sys.exit("A reactor is there before the program runs: it can't be started warm.")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def attend(connection):
    # In a process for this connection alone.  Returns in another one, which is to be the program.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, descriptors = b"", []
    while not text.endswith(b"\\0\\0"):
        more, fds, _, _ = socket.recv_fds(connection, 65536, 4)
        if not more:
            os._exit(1)
        text += more
        descriptors += fds
    pid = os.fork()
    if pid:
        ended = os.pidfd_open(pid)
        if connection in select.select([ended, connection], [], [])[0]:
            # Nobody wants to know any more.
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            connection.sendall(b"status %d\\n" % status)
        except OSError:
            pass
        os._exit(0)
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in zip([null, *descriptors], range(3)):
        os.dup2(old, new)
        os.close(old)
    connection.close()
    listener.close()
    sys.argv[1:] = [argument.decode(errors="surrogateescape") for argument in text[:-2].split(b"\\0")]

while True:
    readable, _, _ = select.select([listener, sys.stdin], [], [])
    if sys.stdin in readable:
        # The tests are over.
        os._exit(0)
    connection, _ = listener.accept()
    if not os.fork():
        break
    connection.close()
attend(connection)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class _WarmStarter:
    """
    A process that has imported our program, and starts it by forking as often as it is asked to.  It ends
    when this process ends, in whichever way.
    """

    path = None

    def start(self):
        """
        Start the process, unless it was started before.

        @return: the path of the socket it listens on.
        """
        if self.path is None:
            self._directory = tempfile.mkdtemp(prefix="warm-")
            path = os.path.join(self._directory, "socket")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen(100)
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _WARM, str(listener.fileno()), "smtpsource"],
                    stdin=subprocess.PIPE,
                    pass_fds=[listener.fileno()],
                    env=dict(os.environ, **_ourEnvironment()),
                )
            atexit.register(self._stop)
            self.path = path
        return self.path

    def _stop(self):
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


_warmStarter = _WarmStarter()


class _WarmProcess(protocol.Protocol):
    """
    A connection to the L{_WarmStarter}, which stands for one run of the program.
    """

    def __init__(self, reactor, arguments, deadline):
        self.finished = defer.Deferred(self._cancelled)
        self._reactor = reactor
        self._arguments = arguments
        self._deadline = deadline
        self._said = b""
        self._overdue = False

    def connectionMade(self):
        # Open until the connection is lost.
        self._outputs = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]  # noqa: SIM115
        for file in self._outputs:
            self.transport.sendFileDescriptor(file.fileno())
        self.transport.write(b"\0".join(map(os.fsencode, self._arguments)) + b"\0\0")
        self._started = time.monotonic()
        self._timer = self._reactor.callLater(self._deadline, self._isOverdue)

    def dataReceived(self, data):
        self._said += data

    def _isOverdue(self):
        self._overdue = True
        # The starter kills it then, and tells its status.
        self.transport.loseWriteConnection()

    def _cancelled(self, deferred):
        self.transport.abortConnection()

    def connectionLost(self, reason):
        seconds = time.monotonic() - self._started
        if self._timer.active():
            self._timer.cancel()
        texts = []
        for file in self._outputs:
            file.seek(0)
            texts.append(file.read())
            file.close()
        if self.finished.called:
            return
        status = re.search(rb"status (-?[0-9]+)\n", self._said)
        if status is None:
            self.finished.errback(RuntimeError(f"our program couldn't be started: {texts}"))
            return
        status = int(status[1])
        number = -status if status < 0 else None
        self.finished.callback(Finished(None if number else status, number, *texts, seconds, self._overdue))


def runOursWarm(arguments, deadline=PATIENCE, reactor=None):
    """
    Run our program like L{runOurs}, in a process of its own that needn't import it any more: about ten times
    as fast.

    The one thing that is different for the program is that standard output and standard error are files, not
    pipes.
    """
    command = ourCommand()
    if command[:3] != [sys.executable, "-m", "smtpsource"] or not hasattr(os, "pidfd_open"):
        return runOurs(arguments, deadline, reactor)
    if reactor is None:
        from twisted.internet import reactor
    process = _WarmProcess(reactor, [*command[3:], *arguments], deadline)
    connecting = connectProtocol(UNIXClientEndpoint(reactor, _warmStarter.start()), process)
    return connecting.addCallback(lambda _: process.finished)


# One program against one server


@dataclass(frozen=True)
class Run:
    """
    What one program did.

    @ivar process: the L{Finished} process.
    @ivar server: the L{RecordingServer} it spoke to, stopped, with the record of it.
    """

    process: Finished
    server: RecordingServer

    @property
    def transcripts(self):
        """
        The normalized record of each connection, see L{normalized}.
        """
        return [normalized(connection) for connection in self.server.connections]

    @property
    def ends(self):
        """
        How each connection ended: C{"eof"}, C{"reset"} ...
        """
        return [connection.end for connection in self.server.connections]


@dataclass
class Settings:
    """
    What the two servers of a comparison are like.

    @ivar family: C{"inet"}, C{"inet6"} or C{"unix"}.
    @ivar lmtp: whether they speak LMTP.
    @ivar replies: the script, see L{recording}.  If it is a function without arguments, it is called to make
        one for each server (needed for scripts that keep a state).
    """

    family: str = "inet"
    lmtp: bool = False
    replies: object = field(default_factory=dict)

    def server(self):
        """
        @return: a new L{RecordingServer}, listening.
        """
        replies = self.replies() if callable(self.replies) else self.replies
        return RecordingServer(replies=replies, lmtp=self.lmtp).listen(self.family)


@defer.inlineCallbacks
def runOne(runProgram, flags, settings, deadline=PATIENCE):
    """
    Run one program against a fresh server.

    @param runProgram: L{runOurs}, L{runOursWarm} or L{runPostfix}.
    @param flags: its options; the destination is added.
    @param settings: the L{Settings} of the server.
    @param deadline: after so many seconds the program is killed.

    @return: a L{defer.Deferred} that fires with a L{Run}.
    """
    server = settings.server()
    try:
        process = yield runProgram([*flags, server.destination], deadline)
        yield server.whenIdle()
    finally:
        yield server.stop()
    return Run(process, server)


@defer.inlineCallbacks
def runBoth(flags, settings=None, deadline=PATIENCE, runProgram=runOurs):
    """
    Run Postfix's smtp-source and ours with the same options, each against a fresh server of its own.

    @param flags: the options; the destination is added.
    @param settings: the L{Settings} of the servers.
    @param deadline: after so many seconds a program is killed.
    @param runProgram: how to run ours: L{runOurs} or L{runOursWarm}.

    @return: a L{defer.Deferred} that fires with a tuple: the L{Run} of Postfix's and the L{Run} of ours.
    """
    settings = settings or Settings()
    postfixCommand()
    postfix = runOne(runPostfix, flags, settings, deadline)
    ours = runOne(runProgram, flags, settings, deadline)
    results = yield defer.DeferredList([postfix, ours], consumeErrors=True)
    for success, result in results:
        if not success:
            result.raiseException()
    return tuple(result for _, result in results)


# Making transcripts comparable

_HEADERS = re.compile(
    rb"(?P<addresses>From: <[^\r\n]*>\r\nTo: <[^\r\n]*>\r\n)"
    rb"Date: (?P<date>[^\r\n]*)\r\n"
    rb"Message-Id: <(?P<id>[^\r\n]*)@(?P<host>[^\r\n@]*)>\r\n"
)
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [ 0-3][0-9] "
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] [+-][0-9]{4} \([A-Za-z0-9+-]+\)"
)
_ID = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DEFAULT_BODY = re.compile(
    rb"(?P<text>[\x20-\x2d\x2f-\x7e][\x20-\x7e]{13,15})1(?P<end>[\x20-\x7e]{0,2})\r\n"
    rb"(?P=text)2(?P=end)\r\n(?P=text)3(?P=end)\r\n(?P=text)4(?P=end)\r\n"
)


def normalized(connection):
    """
    The record of a connection, without what may rightly differ between two runs or two programs.

    Generated headers keep their sender, recipient and subject; the value of C{Date} becomes C{DATE} if its
    syntax is right and it tells the time of the connection; the left side of C{Message-Id} becomes C{ID} if
    it is a dot-atom of RFC 5322 section 3.2.3; and the default body becomes C{BODY} if it has the form that
    Postfix's has: four lines of 17 characters, alike but for the number at their end.

    @param connection: a L{recording.RecordedConnection}.

    @return: a list of bytes: each command line with its CRLF, each message, and what was left over at the
        end, if anything.
    """
    transcript = []
    for item in connection.items:
        if isinstance(item, Message):
            transcript.append(normalizedMessage(item.content, connection.opened, item.time))
        else:
            transcript.append(item.line + b"\r\n")
    if connection.unfinished:
        transcript.append(connection.unfinished)
    return transcript


def normalizedMessage(content, since=None, until=None):
    """
    A message without what may rightly differ; see L{normalized}.

    @param content: the message as it was on the wire.
    @param since: the earliest moment that the Date header may tell, in seconds of C{time.monotonic}; not
        checked if left out.  It may be a minute earlier, though: it is made once in a run.
    @param until: the latest moment.

    @return: the message with C{DATE}, C{ID} and C{BODY} in the places of what was there; what hasn't got the
        form it must have is left as it is.
    """
    head = b""
    body = content
    match = _HEADERS.match(content)
    if match is not None:
        body = content[match.end() :]
        date = match["date"]
        if _DATE.fullmatch(date) and (since is None or _isBetween(date, since - 60, until)):
            date = b"DATE"
        identity = match["id"]
        if _ID.fullmatch(identity):
            identity = b"ID"
        head = match["addresses"] + b"Date: %s\r\nMessage-Id: <%s@%s>\r\n" % (date, identity, match["host"])
        if not body.startswith(b"\r\n"):
            # What else is in the header ends with the first empty line.
            more, end, body = body.partition(b"\r\n\r\n")
            head += more + end
        else:
            head += b"\r\n"
            body = body[2:]
    if body.endswith(b".\r\n"):
        text = body[:-3]
        match = _DEFAULT_BODY.fullmatch(text)
        if match is not None and all(len(line) == 17 for line in text.split(b"\r\n")[:-1]):
            body = b"BODY.\r\n"
    return head + body


def _isBetween(date, since, until):
    """
    @return: whether a Date header tells a moment between two of C{time.monotonic}, give or take a second or
        two.
    """
    moment = email.utils.parsedate_to_datetime(date.decode("ascii"))
    if moment.strftime("%a").encode() != date[:3]:
        return False
    offset = time.time() - time.monotonic()
    return since + offset - 2 <= moment.timestamp() <= until + offset + 2


def messageIds(run):
    """
    @param run: a L{Run}.

    @return: the Message-Ids of all generated messages in it.
    """
    matches = map(_HEADERS.match, run.server.messages)
    return [match["id"] + b"@" + match["host"] for match in matches if match]


def differences(expected, actual, ordered=True):
    """
    Compare the transcripts of two runs.

    @param expected: the L{Run} of the judge.
    @param actual: the L{Run} that is judged.
    @param ordered: whether the order of the connections counts; with several sessions at once it doesn't.

    @return: a text that shows the differences, or an empty one if there are none.
    """
    return compareTranscripts(expected.transcripts, actual.transcripts, ordered)


def compareTranscripts(expected, actual, ordered=True):
    """
    Compare lists of transcripts, each a list of bytes; see L{differences}.
    """
    if not ordered:
        expected, actual = sorted(expected), sorted(actual)
    if expected == actual:
        return ""
    lines = list(
        difflib.unified_diff(_readable(expected), _readable(actual), "Postfix's smtp-source", "ours", n=3, lineterm="")
    )
    return "\n".join(lines or _first(expected, actual))


def _first(expected, actual):
    """
    @return: lines that show the first difference, when it is in a part that L{_readable} doesn't show.
    """
    one, two = (b"".join(item for transcript in run for item in transcript) for run in (expected, actual))
    place = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    start = max(0, place - 40)
    return [
        f"from byte {place} on:",
        *(f"{sign}{run[start : place + 40]!r}" for sign, run in (("-", one), ("+", two))),
    ]


def _readable(transcripts):
    lines = []
    for number, transcript in enumerate(transcripts):
        lines.append(f"--- connection {number}")
        for item in transcript:
            for line in item.splitlines(keepends=True):
                text = repr(line)[1:]
                lines.append(text if len(text) < 200 else f"{text[:90]}[...{len(line)} bytes]{text[-90:]}")
    return lines
