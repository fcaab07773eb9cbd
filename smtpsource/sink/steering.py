"""
What can be changed of a sink while it runs, and what it tells about itself meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from smtpsource.printable import printable
from smtpsource.sink.letters import lettersOf, logger
from smtpsource.sink.summary import SinkCounts, moment

if TYPE_CHECKING:
    from smtpsource.sink.keeping.ledger import SinkLedger
    from smtpsource.sink.keeping.memory import Memory
    from smtpsource.sink.keeping.message import KeptMessage
    from smtpsource.sink.keeping.transcripts import Transcripts
    from smtpsource.sink.plan import SinkPlan
    from smtpsource.sink.rules.facts import Facts, Fate, Step
    from smtpsource.sink.rules.ruleset import RuleSet

#: Marks that a report has; of more, the first ones are forgotten.
_MOST_MARKS = 1000

#: Messages treated in another way than their reply says that a report has; of more, the first ones are forgotten.
_MOST_DELIBERATE = 10_000

#: Messages that are kept for those who ask by HTTP, where nobody says how many.
KEPT = 1000

#: Lines of a dialogue.
_LINES = 1000


class Steering:
    """
    The rules, the kept messages and the news of one sink.

    @ivar plan: the sink's.
    @ivar counts: its counters.
    @ivar letters: the faults of Postfix's letters, by their commands.
    @ivar log: writes a command to the system's log.
    @ivar rules: what is decided by; put another in its place between two replies.
    @ivar rulesByAddress: what is decided by, where clients have connected to an address of a domain with rules of its
        own: by these addresses, the domain and its rules.
    @ivar ruleCounts: how often each rule has had a part in a fate, by its name.
    @ivar keepers: who keeps messages.
    @ivar dumps: those of them that do as Postfix's tool does.
    @ivar memory: one of them, if messages are kept in memory.
    @ivar ledger: where arrivals are written down, if that is wanted.
    @ivar transcripts: the dialogues of sessions, if they are kept.
    @ivar publish: tells whoever wants to know what happens: a kind, and fields.
    @ivar number: how many messages were kept.
    @ivar latest: the number of the message that was kept last: the same, unless others keep some as well.
    @ivar numberSession: gives a session that begins its number.
    @ivar numberMessage: gives a message that is kept its number, where others keep some as well.
    @ivar deceits: how often each L{Deceit<smtpsource.sink.rules.facts.Deceit>} was done.
    @ivar deliberate: the latest messages to which one was done, as a report has them.
    @ivar marks: what users have marked: seconds of the epoch, and a text.
    @ivar paused: nobody is listened to.
    @ivar drop: drops all connections, and returns how many there were.
    """

    def __init__(
        self,
        plan: SinkPlan,
        counts: SinkCounts,
        seconds: Callable[[], float],
        callLater: Callable[..., Any],
    ) -> None:
        """
        @param seconds: the reactor's clock.
        @param callLater: the reactor's.
        @raise ValueError: a file of rules can't be used.
        """
        self.plan = plan
        self.counts = counts
        self.seconds = seconds
        self.callLater = callLater
        self.letters = lettersOf(plan)
        self.log = logger(self.letters)
        self.rules = rulesOf(plan)
        self.rulesByAddress: dict[str, tuple[str, RuleSet]] = {}
        self.ruleCounts: Counter[str] = Counter()
        self.keepers: list[Any] = []
        self.dumps: list[Any] = []
        self.number = self.latest = 0
        self.numberSession: Callable[[], int] = lambda: counts.sessions
        self.numberMessage: Callable[[], int] = lambda: self.number
        self.deceits: Counter[str] = Counter()
        self.deliberate: deque[dict[str, Any]] = deque(maxlen=_MOST_DELIBERATE)
        self.ledger: SinkLedger | None = None
        self.memory: Memory | None = None
        self.transcripts: Transcripts | None = None
        self.publish: Callable[..., None] = _nothing
        self.marks: deque[tuple[float, str]] = deque(maxlen=_MOST_MARKS)
        self.paused = False
        self.whenPaused: Callable[[bool], None] = _nothing
        self.drop: Callable[[], int] = lambda: 0
        self._open(plan)

    def _open(self, plan: SinkPlan) -> None:
        if plan.maildir is not None:
            from smtpsource.sink.keeping.maildir import Maildir

            self.keepers.append(Maildir(plan.maildir))
        if plan.mbox is not None:
            from smtpsource.sink.keeping.mbox import Mbox

            self.keepers.append(Mbox(plan.mbox))
        template = plan.dump or plan.dumpAppend
        if template is not None:
            from smtpsource.sink.keeping.dump import Dump, unescaped

            start = unescaped(plan.dumpStart or "")
            self.dumps.append(Dump(template, start, plan.hostname, append=plan.dump is None))
            self.keepers += self.dumps
        keep = plan.keep or (KEPT if plan.control is not None else None)
        if keep is not None:
            from smtpsource.sink.keeping.memory import Memory
            from smtpsource.sink.keeping.transcripts import Transcripts

            self.memory = Memory(keep, plan.keepBytes)
            self.keepers.append(self.memory)
            self.transcripts = Transcripts(keep, _LINES)

    def decide(self, step: Step, facts: Facts) -> Fate | None:
        """
        Ask the rules.

        @return: what is to be done; C{None} is the usual.
        """
        domain, rules = self._ruling(facts)
        if not rules.wants(step):
            return None
        fate = rules.decide(step, facts, self.seconds())
        if fate is not None:
            names = [named(domain, name) for name in fate.rules]
            self.ruleCounts.update(names)
            self.publish("rule", rules=names, step=step, session=facts.session, client=facts.client)
        return fate

    def count(self, name: str, facts: Facts) -> None:
        """
        Count something that was done to a session by what is no rule.
        """
        domain, _ = self._ruling(facts)
        self.ruleCounts[named(domain, name)] += 1

    def rulesFor(self, facts: Facts) -> RuleSet:
        """
        What is decided by for one session.
        """
        return self._ruling(facts)[1]

    def _ruling(self, facts: Facts) -> tuple[str, RuleSet]:
        """
        @return: the domain of the world that a client has connected to, or an empty text, and its rules.
        """
        return self.rulesByAddress.get(facts.server) or ("", self.rules)

    def replaceRules(self, rules: RuleSet) -> None:
        """
        Decide by others from the next reply on. Those that stay the same go on where they are.
        """
        self.rules = rules.inheriting(self.rules)
        self.publish("rules")

    def newNumber(self) -> int:
        """
        A message is to be kept.

        @return: its number.
        """
        self.number += 1
        self.latest = self.numberMessage()
        return self.latest

    def keep(
        self,
        messages: Iterable[KeptMessage],
        keepers: Sequence[Any] | None = None,
        last: Callable[[], None] | None = None,
    ) -> None:
        """
        Give messages to those who keep some.

        @param messages: each is made when those before it are kept.
        @param keepers: C{None} is all.
        @param last: called in the end, for what can't be taken back.
        @raise OSError: one of them could not: none of the messages is with anybody, and the next one has the first's
            number.
        """
        number = self.number
        undo: list[Callable[[], object]] = []
        try:
            for message in messages:
                for keeper in self.keepers if keepers is None else keepers:
                    # Those before one that fails are wanted.
                    undo.append(keeper.keep(message))  # noqa: PERF401
            if last is not None:
                last()
        except OSError:
            for takeBack in undo:
                takeBack()
            self.number = number
            raise

    def mark(self, text: str) -> float:
        """
        Note something in the report.

        @return: when, in seconds of the epoch.
        """
        now = time.time()
        self.marks.append((now, text))
        self.publish("mark", text=text)
        return now

    def pause(self) -> None:
        """
        Listen to nobody, until L{resume}.
        """
        self._setPaused(True)

    def resume(self) -> None:
        """
        Go on.
        """
        self._setPaused(False)

    def _setPaused(self, paused: bool) -> None:
        if paused is not self.paused:
            self.paused = paused
            self.whenPaused(paused)
            self.publish("paused" if paused else "resumed")

    def rulesCounted(self) -> dict[str, int]:
        """
        How often each rule has had a part in what was done; those that are no more included.
        """
        sets = dict([("", self.rules), *self.rulesByAddress.values()])
        names = [named(domain, rule.name) for domain, rules in sets.items() for rule in rules.rules]
        return dict.fromkeys(names, 0) | dict(self.ruleCounts)

    def result(self) -> dict[str, Any]:
        """
        What a summary has of this, by the names of its fields.
        """
        return {
            "rules": self.rulesCounted(),
            "deliberate": dict(self.deceits),
            "deliberateMessages": list(self.deliberate),
            "kept": self.number,
            "marks": [(moment(at), printable(text)) for at, text in self.marks],
        }

    def close(self) -> None:
        """
        The sink has ended.
        """
        for keeper in self.keepers:
            keeper.close()


def _nothing(*arguments: Any, **fields: Any) -> None:
    pass


def named(domain: str, rule: str) -> str:
    """
    What a rule is called of a domain of the world; or of the sink, if that is empty.
    """
    return f"{domain}: {rule}" if domain else rule


def ruleSetsOf(plan: SinkPlan) -> tuple[list[RuleSet], list[RuleSet]]:
    """
    The rules that a plan names, in their order: those of its texts and files, and those of profiles.

    @raise ValueError: one of them can't be used; the text is one line.
    """
    from smtpsource.sink.rules.written import fromExpressions, fromFile, profile

    return [fromExpressions(plan.ruleTexts), *map(fromFile, plan.ruleFiles)], list(map(profile, plan.profiles))


def rulesOf(plan: SinkPlan) -> RuleSet:
    """
    All of them, as one.

    @raise ValueError: as L{ruleSetsOf}; or two have the same name.
    """
    from smtpsource.sink.rules.ruleset import combined

    written, profiles = ruleSetsOf(plan)
    return combined([*written, *profiles])
