"""
A sink in a process of its own, as tests of pytest have it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from smtpsource.testing.addedrules import AddedRule, needPlain, written
from smtpsource.testing.dialogues import Dialogues
from smtpsource.testing.plaintext import needNone, plaintextLogins
from smtpsource.testing.received import ReceivedMessage, received
from smtpsource.testing.remote import Remote, SinkBusy
from smtpsource.testing.waiting import gaveWay, needUsable, shortfall, sizeText

if TYPE_CHECKING:
    from smtpsource.testing.spawned import SpawnedSink

#: So many messages are in a list at the most: all that are kept, unless something else was asked for.
_MOST = 10_000

#: Seconds that are waited in one request.
_LONGEST_WAIT = 60.0

#: Seconds that a sink may take to answer beyond what was to be waited.
_PATIENCE = 10.0

#: Seconds between two requests of somebody who waits, where too many others do.
_INTERVAL = 0.2


class RemoteSink:
    """
    A sink for one test.

    @ivar host: where it listens; empty for a UNIX socket.
    @ivar port: likewise; 0 for a UNIX socket.
    @ivar path: of a UNIX socket; empty for a host and port.
    @ivar dns: the address and port of its name server; C{None} if it has none.
    @ivar control: the URL of its control (see docs/control.rst), for those who speak HTTP to it.
    @ivar token: which that needs.
    @ivar pid: its process.
    """

    def __init__(self, spawned: SpawnedSink, directory: Callable[[], Path]) -> None:
        """
        @param directory: gives one where a file may be made.
        """
        self._spawned = spawned
        self._directory = directory
        self._remote = Remote(spawned.controlHost, spawned.controlPort, spawned.token)
        self._dialogues = Dialogues(self._remote)
        self._report: str | None = None
        self.host, self.port, self.path, self.dns = spawned.host, spawned.port, spawned.path, spawned.dns
        self.control = f"http://{spawned.controlHost}:{spawned.controlPort}"
        self.token = spawned.token
        self.pid = spawned.pid

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    @property
    def users(self) -> Mapping[str, str] | None:
        """
        The passwords of those who may log in, by their names; C{None} is everybody. They stay as they are.
        """
        return self._spawned.users

    @property
    def url(self) -> str:
        """
        Where it listens, such as C{smtp://127.0.0.1:2525}: the scheme is C{smtps} if connections begin with TLS, and
        C{lmtp} or C{lmtps}.
        """
        scheme = ("lmtp" if self._spawned.lmtp else "smtp") + ("s" if self._spawned.tls else "")
        if self.path:
            return f"unix:{self.path}"
        return f"{scheme}://[{self.host}]:{self.port}" if ":" in self.host else f"{scheme}://{self.host}:{self.port}"

    @property
    def ca_file(self) -> str:
        """
        The name of a PEM file that a client can verify the sink by, which has a certificate for C{localhost} and
        127.0.0.1.

        @raise RuntimeError: there is no TLS here.
        """
        if self._spawned.certificates:
            return self._spawned.certificates
        if not self._spawned.certificate:
            raise RuntimeError("this sink has no TLS: expected pip install 'smtpsource[tls]', and not starttls=False")
        path = self._directory() / f"smtp_sink_{self.pid}.pem"
        if not path.exists():
            path.write_text(self._spawned.certificate, "ascii")
        return str(path)

    # What has come

    @property
    def messages(self) -> list[ReceivedMessage]:
        """
        All messages that are there, the oldest first.
        """
        return self._messages({})

    def wait_for(
        self,
        n: int = 1,
        timeout: float = 5.0,
        *,
        recipient: str | None = None,
        sender: str | None = None,
        subject: str | None = None,
        message_id: str | None = None,
    ) -> list[ReceivedMessage]:
        """
        Wait until so many messages are there that have what is asked for: globs, for which case does not matter.

        @param n: at least 1.
        @param timeout: seconds.
        @return: all of them.
        @raise AssertionError: they did not come in time; the text says what did.
        @raise ValueError: nobody can wait for that; the text is one line.
        """
        __tracebackhide__ = True  # pytest shows the test instead
        needUsable("n", n, timeout)
        criteria = {"recipient": recipient, "sender": sender, "subject": subject, "id": message_id}
        given = {name: value for name, value in criteria.items() if value is not None}
        end = time.monotonic() + timeout
        while True:
            wait = max(0.0, min(_LONGEST_WAIT, end - time.monotonic()))
            try:
                found = self._messages({**given, "count": str(n), "wait": f"{wait:.3f}"}, wait)
            except SinkBusy:
                if not wait:
                    raise
                time.sleep(min(_INTERVAL, wait))
                continue
            if len(found) >= n:
                return found
            if not wait:
                raise AssertionError(shortfall(n, timeout, given, self.messages, self._displaced()))

    def _displaced(self) -> str:
        answer = self._remote.ask("GET", "/messages", query={"limit": "1"}, patience=_PATIENCE)
        return gaveWay(
            answer["displaced"], f"keep={self._spawned.keep}", f"keep_bytes={sizeText(self._spawned.keepBytes)}"
        )

    def _messages(self, query: Mapping[str, str], wait: float = 0.0) -> list[ReceivedMessage]:
        query = {**query, "limit": str(_MOST)}
        answer = self._remote.ask("GET", "/messages", query=query, wait=wait, patience=_PATIENCE)
        return [message for each in answer["messages"] for message in self._message(each)]

    def _message(self, document: Mapping[str, Any]) -> list[ReceivedMessage]:
        path = f"/messages/{document['number']}/raw"
        try:
            return [received(document, self._remote.asBytes("GET", path, patience=_PATIENCE))]
        except LookupError:
            # Another one has taken its place meanwhile.
            return []

    @property
    def transcripts(self) -> list[str]:
        """
        The dialogues of the test's sessions, the oldest first; secrets are masked.
        """
        return self._dialogues.texts()

    @property
    def transcript(self) -> str:
        """
        The dialogue of the last session; empty if there was none.
        """
        return self._dialogues.last()

    def assert_no_plaintext_auth(self) -> None:
        """
        Nobody has sent a password that everybody can read: by AUTH PLAIN, LOGIN or XOAUTH2 without TLS.

        @raise AssertionError: somebody has; the text says who.
        """
        __tracebackhide__ = True
        needNone(plaintextLogins(self._dialogues.logins()))

    # What is done

    def rule(self, *, on: str | Iterable[str], do: Mapping[str, Any], **more: Any) -> AddedRule:
        """
        Do something else than take everything, from the next reply on. It comes before the rules that there are.

        @param on: the step, or several: see docs/rules.rst.
        @param do: such as C{{"reply": "451 4.7.1 come back"}}.
        @param more: all else that a rule may have, such as C{when={"recipient": "*@slow.test"}} or C{times=3}.
        @return: the rule, which can be removed; in a C{with} statement that is done at its end.
        @raise ValueError: it can't be used; the text is one line.
        """
        rule = written(on, do, more)
        added = AddedRule(rule["name"], self._counts, self._remove)
        self._remote.ask("POST", "/rules", rule, query={"first": "true"})
        return added

    def rules(self, document: Mapping[str, Any] | str | Path | None = None) -> dict[str, Any]:
        """
        Have other rules, all of them, from the next reply on.

        @param document: as in a file of rules: a mapping, or a text in TOML, or the file. C{None} changes nothing.
        @return: those that there are now.
        @raise ValueError: they can't be used; the text is one line.
        """
        if document is None:
            return dict(self._remote.ask("GET", "/rules"))
        if isinstance(document, Path):
            try:
                return dict(self._remote.ask("PUT", "/rules", document.read_bytes()))
            except ValueError as e:
                raise ValueError(f"{document}: {str(e).removeprefix('rules: ').removeprefix('rules, ')}") from None
        needPlain(document)
        sent = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
        return dict(self._remote.ask("PUT", "/rules", sent))

    def _remove(self, name: str) -> None:
        try:
            self._remote.ask("DELETE", f"/rules/{quote(name, safe='')}")
        except LookupError:
            # It has gone with others.
            pass

    def _counts(self) -> dict[str, int]:
        return dict(self._remote.ask("GET", "/counters")["rules"])

    def begin(self) -> None:
        """
        A test begins: L{reset}, and nobody is connected any more.
        """
        self._remote.ask("DELETE", "/sessions")
        self.reset()

    def reset(self) -> None:
        """
        Be as in the beginning: without messages and transcripts, and with the rules that it was started with, which
        have seen nobody yet. Who is connected stays so.
        """
        # The others would go on with what they have seen.
        self._remote.ask("PUT", "/rules", {})
        self._remote.ask("PUT", "/rules", self._spawned.rules)
        self._remote.ask("POST", "/resume")
        self._remote.ask("DELETE", "/messages")
        self._dialogues.begin()

    def pause(self) -> None:
        """
        Listen to nobody, until L{resume}.
        """
        self._remote.ask("POST", "/pause")

    def resume(self) -> None:
        """
        Go on.
        """
        self._remote.ask("POST", "/resume")

    # How it is told

    def told(self) -> str:
        """
        What has happened in this test, for people.
        """
        return self._dialogues.told() if self._report is None else self._report

    def remember(self) -> None:
        """
        The process is about to be ended: L{told} stays what it is now.
        """
        self._report = self.told()
