"""
What a sink has seen: counters while it runs, and the immutable result afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from smtpsource._version import __version__
from smtpsource.printable import printable
from smtpsource.speedups import compiled

#: A sample in a report is at most this many characters long.
SAMPLE_LENGTH = 100

#: What a report says of a question of the DNS.
_QUESTION = ("name", "type", "result", "count")

#: So many different addresses of PROXY headers are told apart: clients may say what they like.
MOST_SOURCES = 100_000


def moment(seconds: float) -> str:
    """
    A moment as reports have it: ISO 8601 in UTC.

    @param seconds: of the epoch.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


@compiled
class SinkCounts:
    """
    The running counters of one sink, shared by all its sessions.

    @ivar sessions: connections that were given a banner.
    @ivar ended: those of them that are over, in whatever way.
    @ivar mostOpen: the largest number of sessions open at the same time.
    @ivar quits: QUIT commands.
    @ivar messages: messages received whole and accepted.
    @ivar recipients: their recipients.
    @ivar bytesReceived: everything clients sent, commands included.
    @ivar bytesSent: all replies written, whether or not the client has read them.
    @ivar chunks: chunks of BDAT received whole and accepted (RFC 3030).
    @ivar sources: the different addresses of PROXY headers, up to L{MOST_SOURCES}.
    @ivar errors: by kind, how often and the first sample.
    """

    def __init__(self) -> None:
        self.sessions = self.ended = self.mostOpen = self.quits = 0
        self.messages = self.recipients = 0
        self.bytesReceived = self.bytesSent = 0
        self.chunks = self._full = self._resumed = self._accepted = self._refused = 0
        self._introduced = self._proxied = 0
        self._attributes: dict[str, bytes] = {}
        self.sources: set[bytes] = set()
        self.errors: dict[str, tuple[int, str]] = {}

    @property
    def open(self) -> int:
        """
        The sessions that are open now.
        """
        return self.sessions - self.ended

    def error(self, kind: str, sample: bytes) -> None:
        """
        Count something that went wrong.

        @param kind: C{"unknown"}, C{"sequence"}, C{"syntax"}, C{"parameter"} or C{"line-too-long"} for a command
            that was refused; C{"plain-text-after-starttls"} for what came together with one that starts TLS;
            C{"proxy"} for a connection without a PROXY header, C{"tls"} for one that was ended by TLS or within its
            handshake; C{"timeout"} for a session that was idle too long; C{"lost"} for one that was lost in a
            transaction; C{"out-of-files"} for a connection that had to wait for a file descriptor;
            C{"internal-error"} and C{"out-of-memory"} for what is no client's fault.
        @param sample: what the client had sent; kept for the first of each kind. Must not have passwords in it.
        """
        number, text = self.errors.get(kind, (0, ""))
        if not number:
            text = printable(sample[:SAMPLE_LENGTH])
        self.errors[kind] = (number + 1, text)

    def handshake(self, resumed: bool) -> None:
        """
        Count a TLS handshake.

        @param resumed: it has resumed an earlier session, which is much cheaper.
        """
        if resumed:
            self._resumed += 1
        else:
            self._full += 1

    def loggedIn(self, accepted: bool) -> None:
        """
        Count an attempt of AUTH whose credentials were accepted or not.
        """
        if accepted:
            self._accepted += 1
        else:
            self._refused += 1

    def refuseLogin(self) -> None:
        """
        The attempt that was counted last is refused, although its credentials were accepted.
        """
        self._accepted -= 1
        self._refused += 1

    def introduced(self, attributes: dict[str, bytes]) -> None:
        """
        Count an XCLIENT command, and keep the attributes of the last one.
        """
        self._introduced += 1
        self._attributes = attributes

    def proxied(self, source: bytes) -> None:
        """
        Count a PROXY header.

        @param source: the address it tells, as bytes; empty if it tells none.
        """
        self._proxied += 1
        if source and len(self.sources) < MOST_SOURCES:
            self.sources.add(source)

    def extensions(self, parameters: dict[str, int]) -> dict[str, Any]:
        """
        What was used of the protocol's extensions, for L{SinkSummary.extensions}.

        @param parameters: how often each parameter of MAIL and RCPT was accepted.
        """
        return _withoutZeros(
            {
                "tls": _withoutZeros({"full": self._full, "resumed": self._resumed}),
                "auth": _withoutZeros({"accepted": self._accepted, "refused": self._refused}),
                "bdat": self.chunks,
                "xclient": self._introduced,
                "xclientAttributes": {
                    name: printable(value[:SAMPLE_LENGTH]) for name, value in self._attributes.items()
                },
                "proxy": self._proxied,
                "proxySources": len(self.sources),
                "parameters": _withoutZeros(parameters),
            }
        )


def _withoutZeros(counts: dict[str, Any]) -> dict[str, Any]:
    return {name: number for name, number in counts.items() if number}


@dataclass(frozen=True)
class WorkerShare:
    """
    What one of a sink's workers has done.

    @ivar pid: its process.
    @ivar lost: it has ended before its time: what it has counted is what it had told by then.
    @ivar ledger: the file that it has written; C{None} if there is none.
    """

    pid: int
    sessions: int
    messages: int
    cpuUser: float
    cpuSystem: float
    lost: bool
    ledger: str | None

    def asDict(self) -> dict[str, Any]:
        """
        The same for JSON.
        """
        return {
            "pid": self.pid,
            "sessions": self.sessions,
            "messages": self.messages,
            "cpu": {"user": round(self.cpuUser, 6), "system": round(self.cpuSystem, 6)},
            "lost": self.lost,
            "ledger": self.ledger,
        }


@dataclass(frozen=True)
class SinkSummary:
    """
    The result of a sink's life.

    @ivar reactor: the class of the reactor it ran on.
    @ivar started: when it began to listen, ISO 8601 in UTC.
    @ivar elapsed: seconds from then to the end.
    @ivar busy: seconds from the first session's beginning to the last session's end: the base of the rate.
    @ivar ended: C{"done"} when a limit was reached or its owner had enough, C{"signal"} when it was stopped,
        C{"aborted"} when there was no more memory.
    @ivar sessionsOpen: sessions that were still open when the end came.
    @ivar cpuUser: seconds of processor time of the whole process meanwhile, outside the kernel.
    @ivar cpuSystem: the same, inside the kernel.
    @ivar exit: 0, or 1 if something went wrong that is no client's fault.
    @ivar reason: the first such thing, as one line.
    @ivar errors: by kind (see L{SinkCounts.error}), how often and a sample.
    @ivar extensions: what was used of the protocol's extensions: C{tls} (C{full} and C{resumed} handshakes), C{auth}
        (C{accepted} and C{refused}), C{bdat} (chunks), C{xclient} (commands) and C{xclientAttributes} (of the last
        one), C{proxy} (headers) and C{proxySources} (different addresses in them, up to L{MOST_SOURCES}),
        C{parameters} (by name, how often one of MAIL or RCPT was accepted). What was not used is left out.
    @ivar rules: by the name of each rule, how often it has had a part in what was done.
    @ivar deliberate: by L{Deceit<smtpsource.sink.rules.facts.Deceit>}, how often a rule has done that to a message.
    @ivar deliberateMessages: the latest of these messages: when, what, by which rule, and which ones they are.
    @ivar kept: messages that were kept, each as often as it was.
    @ivar ledger: the file that says what has arrived, or the directory of those of all workers; C{None} if there is
        none.
    @ivar questions: of the DNS: name, type, what came of it (see L{NameServer<smtpsource.sink.dns.server.NameServer>})
        and how often, in their order.
    @ivar marks: what users have marked while it ran: when, as C{started}, and a text.
    @ivar workers: what each of several processes has done; none if there is one.
    @ivar complete: no worker was lost, so nothing was that one has counted.
    """

    command: tuple[str, ...]
    reactor: str
    started: str
    elapsed: float
    busy: float
    ended: str
    sessions: int
    sessionsOpen: int
    sessionsMax: int
    quits: int
    messages: int
    recipients: int
    bytesReceived: int
    bytesSent: int
    cpuUser: float
    cpuSystem: float
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    exit: int = 0
    reason: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    deliberate: dict[str, int] = field(default_factory=dict)
    deliberateMessages: list[dict[str, Any]] = field(default_factory=list)
    kept: int = 0
    ledger: str | None = None
    questions: list[tuple[str, str, str, int]] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)
    workers: list[WorkerShare] = field(default_factory=list)
    complete: bool = True

    def plain(self, problem: str) -> SinkSummary:
        """
        The same without what takes work to be shown, for when that fails: it is the result of a sink that failed.

        @param problem: why, as one line.
        """
        return replace(self, exit=1, reason=self.reason or problem, extensions={})

    @property
    def rate(self) -> float:
        """
        Messages a second while there were sessions.
        """
        return self.messages / self.busy if self.busy > 0 else 0.0

    def asDict(self) -> dict[str, Any]:
        """
        The report as a document for JSON.
        """
        return {
            "schema": 1,
            "tool": {"name": "smtp-sink", "version": __version__},
            "command": list(self.command),
            "reactor": self.reactor,
            "started": self.started,
            "elapsed": round(self.elapsed, 6),
            "busy": round(self.busy, 6),
            "exit": self.exit,
            "ended": self.ended,
            "reason": self.reason,
            "sessions": {
                "total": self.sessions,
                "open": self.sessionsOpen,
                "max": self.sessionsMax,
                "quit": self.quits,
            },
            "messages": self.messages,
            "recipients": self.recipients,
            "bytes": {"received": self.bytesReceived, "sent": self.bytesSent},
            "rate": round(self.rate, 3),
            "cpu": {"user": round(self.cpuUser, 6), "system": round(self.cpuSystem, 6)},
            "extensions": self.extensions,
            "rules": self.rules,
            "deliberate": self.deliberate,
            "deliberateMessages": self.deliberateMessages,
            "kept": self.kept,
            "ledger": self.ledger,
            "questions": [dict(zip(_QUESTION, each, strict=True)) for each in self.questions],
            "workers": [worker.asDict() for worker in self.workers],
            "complete": self.complete,
            "marks": [{"time": time, "text": text} for time, text in self.marks],
            "errors": {kind: {"count": number, "sample": sample} for kind, (number, sample) in self.errors.items()},
        }

    def asText(self) -> str:
        """
        The report for people: aligned lines, the last one with its newline.
        """
        cpu = self.cpuUser + self.cpuSystem
        each = f" ({cpu / self.messages * 1e6:.0f} us per message)" if self.messages else ""
        rows = [
            ("ended", {"done": "as asked", "aborted": "before its time"}.get(self.ended, "stopped")),
            ("sessions", f"{self.sessions}, {self.sessionsMax} at once, {self.sessionsOpen} open at the end"),
            ("quits", f"{self.quits}"),
            ("messages", f"{self.messages}"),
            ("recipients", f"{self.recipients}"),
            ("bytes", f"{self.bytesReceived} received, {self.bytesSent} sent"),
            ("time", f"{self.elapsed:.3f} s, {self.busy:.3f} s with sessions"),
            ("rate", f"{self.rate:.1f} messages/s"),
            ("cpu", f"{self.cpuUser:.3f} s user, {self.cpuSystem:.3f} s system{each}"),
        ]
        rows += self._workerRows()
        rows += self._extensionRows()
        rows += [("kept", f"{self.kept}")] if self.kept else []
        rows += [("ledger", printable(self.ledger))] if self.ledger else []
        rows += [("rule", f"{number:<9} {name}") for name, number in self.rules.items()]
        rows += [("deliberate", f"{number:<9} {deceit}") for deceit, number in self.deliberate.items()]
        rows += self._questionRows()
        rows += [("mark", f"{time} {text}") for time, text in self.marks]
        for kind, (number, sample) in sorted(self.errors.items()):
            rows.append(("errors", f"{kind} {number}" + (f", such as {sample!a}" if sample else "")))
        return "".join(f"{name:<12}{value}\n" for name, value in rows)

    def _workerRows(self) -> list[tuple[str, str]]:
        if not self.workers:
            return []
        shares = ", ".join(f"{worker.messages}{' (lost)' if worker.lost else ''}" for worker in self.workers)
        incomplete = "" if self.complete else "; the result is incomplete"
        return [("workers", f"{len(self.workers)}, messages of each {shares}{incomplete}")]

    def _questionRows(self) -> list[tuple[str, str]]:
        results: dict[str, int] = {}
        for _, _, result, number in self.questions:
            results[result] = results.get(result, 0) + number
        text = ", ".join(f"{number} {result or 'others'}" for result, number in results.items())
        return [("questions", text)] if text else []

    def _extensionRows(self) -> list[tuple[str, str]]:
        used = self.extensions
        rows = []
        if "tls" in used:
            rows.append(
                ("tls", f"{used['tls'].get('full', 0)} full handshakes, {used['tls'].get('resumed', 0)} resumed")
            )
        if "auth" in used:
            rows.append(
                ("auth", f"{used['auth'].get('accepted', 0)} accepted, {used['auth'].get('refused', 0)} refused")
            )
        if "bdat" in used:
            rows.append(("bdat", f"{used['bdat']} chunks"))
        if "xclient" in used:
            last = " ".join(f"{name}={value}" for name, value in used["xclientAttributes"].items())
            rows.append(("xclient", f"{used['xclient']}, the last one {last}"))
        if "proxy" in used:
            rows.append(("proxy", f"{used['proxy']} headers, {used.get('proxySources', 0)} different sources"))
        if "parameters" in used:
            rows.append(("parameters", ", ".join(f"{name} {number}" for name, number in used["parameters"].items())))
        return rows
