"""
A sink in the process of a test, for trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.rules.written import fromFile, fromTOML
from smtpsource.sink.service import SinkPlan, SinkService
from smtpsource.sink.steering import rulesOf
from smtpsource.testing.addedrules import AddedRule, written
from smtpsource.testing.plaintext import needNone, plaintextLogins
from smtpsource.testing.received import ReceivedMessage, received
from smtpsource.testing.userfiles import userFile
from smtpsource.testing.waiting import gaveWay, needUsable, shortfall

if TYPE_CHECKING:
    from smtpsource.interfaces import AnyReactor
    from smtpsource.sink.keeping.entry import Entry
    from smtpsource.sink.keeping.memory import Memory
    from smtpsource.sink.keeping.transcripts import Transcripts

#: Messages that are kept, and sessions whose dialogues are, where nothing else is said.
KEPT = 1000


class SinkFixture:
    """
    A sink that listens on a free port of 127.0.0.1 and keeps what it is sent::

        def setUp(self):
            self.sink = SinkFixture(reactor)
            self.addCleanup(self.sink.stop)
            return self.sink.start()

    Who talks to it must not block the reactor.

    It has one life, as its service has.

    @ivar service: the sink itself.
    """

    def __init__(self, reactor: AnyReactor, *, users: Mapping[str, str] | None = None, **plan: Any) -> None:
        """
        @param reactor: the test's.
        @param users: the passwords of those who may log in, by their names; C{None} is everybody.
        @param plan: keywords of a C{SinkPlan}.
        @raise ValueError: one of them can't be used; the text is one line.
        """
        self._users = None if users is None else MappingProxyType(dict(users))
        self._life = "has not been started"
        self._waiting: set[Deferred[Any]] = set()
        self._reactor: Any = reactor
        self._plan = SinkPlan(**{"keep": KEPT, "grace": 0.0, **plan})
        with userFile(users) as path:
            ours = self._plan if path is None else self._plan.evolve(authUsers=path)
            self.service = SinkService(reactor, ours)
        steering = self.service.factory.steering
        assert steering is not None
        self._steering = steering

    @property
    def users(self) -> Mapping[str, str] | None:
        """
        The passwords of those who may log in, by their names; C{None} is everybody. They stay as they are.
        """
        return self._users

    def start(self) -> Deferred[SinkFixture]:
        """
        Listen.

        @return: fires with this; or fails with C{ListenError}, or C{RuntimeError} if it was started or stopped before.
        """
        started: Deferred[SinkFixture] = Deferred()
        try:
            if self._life != "has not been started":
                raise RuntimeError(f"this sink {self._life}: expected a new one")
            self._life = "has been started already"
            self.service.startService()
        except Exception:
            started.errback(Failure())
        else:
            started.callback(self)
        return started

    def stop(self) -> Deferred[None]:
        """
        End it, and all connections. May be called any number of times. Nobody waits any more.

        @return: fires when nothing is left in the reactor.
        """
        self._life = "has been stopped"
        self._abandon()
        return self.service.stopService()

    @property
    def host(self) -> str:
        """
        Where it listens; empty for a UNIX socket.
        """
        return str(getattr(self.service.address(), "host", ""))

    @property
    def port(self) -> int:
        """
        Likewise; 0 for a UNIX socket.
        """
        return int(getattr(self.service.address(), "port", 0))

    @property
    def certificate(self) -> str:
        """
        The certificate that the sink has made, in PEM: a client can verify it by that, as C{localhost} or 127.0.0.1.
        Empty if it was given another one, or there is no TLS here.
        """
        if not (self._plan.startTLS or self._plan.tls):
            return ""
        tls = self.service.factory.tls
        tls.prepare()
        return tls.certificate

    # What has come

    @property
    def messages(self) -> list[ReceivedMessage]:
        """
        All messages that are there, the oldest first.
        """
        return _messages(self._memory.find())

    def waitFor(
        self,
        count: int = 1,
        timeout: float = 5.0,
        *,
        recipient: str | None = None,
        sender: str | None = None,
        subject: str | None = None,
        messageId: str | None = None,
    ) -> Deferred[list[ReceivedMessage]]:
        """
        Wait until so many messages are there that have what is asked for: globs, for which case does not matter.

        @param count: at least 1.
        @param timeout: seconds.
        @return: fires with all of them; or fails with C{AssertionError}, whose text says what has come. It can be
            canceled, and is by L{stop} and L{reset}: whoever does not look at it any more is told nothing of that.
        @raise ValueError: nobody can wait for that; the text is one line.
        """
        needUsable("count", count, timeout)
        criteria = {"recipient": recipient, "sender": sender, "subject": subject, "id": messageId}
        given = {name: value for name, value in criteria.items() if value is not None}
        waiting = self._memory.wait(count, recipient, sender, subject, messageId)
        self._waiting.add(waiting)
        late: list[AssertionError] = []

        def tooLate() -> None:
            late.append(AssertionError(shortfall(count, timeout, given, self.messages, self._displaced())))
            waiting.cancel()

        timer = self._reactor.callLater(timeout, tooLate)

        def over(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            self._waiting.discard(waiting)
            if late:
                raise late[0]
            return result if isinstance(result, Failure) else _messages(result)

        return waiting.addBoth(over)

    def _displaced(self) -> str:
        plan = self._plan
        return gaveWay(self._memory.displaced, f"keep={plan.keep}", f"keepBytes={plan.keepBytes}")

    def _abandon(self) -> None:
        """
        Cancel whatever is waited for.
        """
        for waiting in list(self._waiting):
            waiting.cancel()
            # Who awaits it has been told. Nobody else looks at it any more.
            waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)

    @property
    def transcripts(self) -> list[str]:
        """
        The dialogues of all sessions, the oldest first; secrets are masked.
        """
        return [each.asText() for each in self._transcripts.all()]

    @property
    def transcript(self) -> str:
        """
        The dialogue of the last session; empty if there was none.
        """
        return "".join(self.transcripts[-1:])

    def assertNoPlaintextAuth(self) -> None:
        """
        Nobody has sent a password that everybody can read: by AUTH PLAIN, LOGIN or XOAUTH2 without TLS.

        @raise AssertionError: somebody has; the text says who.
        """
        needNone(plaintextLogins(each.asDict() for each in self._transcripts.all()))

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
        added = AddedRule(rule["name"], self._steering.rulesCounted, self._remove)
        document = self._steering.rules.asDict()
        self.rules({**document, "rule": [rule, *document["rule"]]})
        return added

    def rules(self, document: Mapping[str, Any] | str | Path | None = None) -> dict[str, Any]:
        """
        Have other rules, all of them, from the next reply on.

        @param document: as in a file of rules: a mapping, or a text in TOML, or the file. C{None} changes nothing.
        @return: those that there are now.
        @raise ValueError: they can't be used; the text is one line.
        """
        if document is not None:
            self._steering.replaceRules(_ruleSet(document))
        return self._steering.rules.asDict()

    def _remove(self, name: str) -> None:
        document = self.rules()
        self.rules({**document, "rule": [each for each in document["rule"] if each.get("name") != name]})

    def reset(self) -> None:
        """
        Be as in the beginning: without messages and transcripts, and with the rules that it was started with, which
        have seen nobody yet. Who is connected stays so, and what is said there is not kept any more; nobody waits.
        """
        # The others would go on with what they have seen.
        self._steering.replaceRules(RuleSet())
        self._steering.replaceRules(rulesOf(self._plan))
        self._steering.resume()
        self._abandon()
        self._memory.delete()
        self._transcripts.delete()

    def pause(self) -> None:
        """
        Listen to nobody, until L{resume}.
        """
        self._steering.pause()

    def resume(self) -> None:
        """
        Go on.
        """
        self._steering.resume()

    @property
    def _memory(self) -> Memory:
        assert self._steering.memory is not None
        return self._steering.memory

    @property
    def _transcripts(self) -> Transcripts:
        assert self._steering.transcripts is not None
        return self._steering.transcripts


def _ruleSet(document: Mapping[str, Any] | str | Path) -> RuleSet:
    if isinstance(document, Path):
        return fromFile(str(document))
    return fromTOML(document, "rules") if isinstance(document, str) else RuleSet.fromDict(document, "rules")


def _messages(entries: Iterable[Entry]) -> list[ReceivedMessage]:
    return [received(entry.asDict(), entry.raw) for entry in entries]
