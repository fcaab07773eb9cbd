"""
The plan of a run: everything that is decided before the first connection.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from smtpsource.messages import seeds
from smtpsource.net.destination import SCHEMES, parse, said, shown
from smtpsource.plan.connections import Connections
from smtpsource.plan.dialogue import DialogueSettings
from smtpsource.plan.extensions import Extensions
from smtpsource.plan.ledger import LedgerSettings
from smtpsource.plan.load import Load
from smtpsource.plan.login import Login
from smtpsource.plan.message import Message
from smtpsource.plan.messagelog import MessageLogSettings
from smtpsource.plan.parameters import ParameterSettings
from smtpsource.plan.results import Results
from smtpsource.plan.tls import TLS
from smtpsource.plan.traffic import TrafficSettings, corpusAt
from smtpsource.plan.workers import Workers
from smtpsource.values.option import derived, unusable
from smtpsource.values.rules import keepRules


class SourcePlan(
    Load,
    Workers,
    Message,
    TrafficSettings,
    DialogueSettings,
    Extensions,
    TLS,
    Login,
    ParameterSettings,
    Connections,
    LedgerSettings,
    MessageLogSettings,
    Results,
):
    """
    What to send, how much of it, where to and how. The defaults are those of smtp-source(1) and of this tool's
    command line. Each of the classes that this is made of tells about its values.

    Every value is checked. Addresses, the subject and the message may be texts: they become bytes, in UTF-8.

    A harness makes one with the keywords it needs::

        SourcePlan(destination="127.0.0.1:2525", messageCount=1000, sessionCount=20, keepConnections=True)

    Its C{evolve} makes another that differs from it.

    @ivar seedInUse: C{seed}, or the one that was drawn.
    @raise ValueError: the values contradict each other or one can't be used; the text says which, and what was
        expected.
    """

    seedInUse: int = derived()

    @property
    def workerCount(self) -> int:
        """
        How many processes carry the load: no more than there are sessions, or messages.
        """
        if self.workers == 1:
            return 1
        return max(1, min(self.workersWanted, self.mostSessions, self.messageLimit))

    def evolve(self, **changes: Any) -> SourcePlan:
        """
        Another plan that differs from this one: C{plan.evolve(sessionCount=8)}. With another destination, what the
        scheme of this plan's destination said (C{lmtp}, C{tls}) is said no more.

        @param changes: keywords, as for a new one.
        @raise ValueError: as for a new one.
        """
        if "destination" in changes:
            saying, _ = SCHEMES.get(getattr(self.destination, "scheme", None) or "", ({}, 0))
            kept = {name for name, value in saying.items() if getattr(self, name) == value}
            changes = {name: self.declared[name].default for name in kept} | changes
        return super().evolve(**changes)

    def seeded(self, seed: int) -> SourcePlan:
        """
        This plan, with the seed that was drawn for others that do the same.

        @param seed: for C{seedInUse}; if there is a C{seed}, that is what it stays.
        """
        plan = copy(self)
        if self.seed is None:
            object.__setattr__(plan, "seedInUse", seed)
        return plan

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "seedInUse", seeds.drawn() if self.seed is None else self.seed)
        if isinstance(self.destination, str):
            self._takeDestination(self.destination)
        if isinstance(self.messages, str):
            self._takeMessages(self.messages)
        keepRules(self)
        if self.findRate is not None:
            object.__setattr__(self, "tolerant", True)  # rates that are too high are part of the search
        if self.logins:
            self._tryLogins()

    def _takeDestination(self, text: str) -> None:
        """
        A destination as on the command line: what it says of the protocol is as if other values said it.
        """
        try:
            goal, saying = parse(text, self.family), said(text)
        except ValueError as e:
            raise ValueError(f"destination:{shown(text)} is not usable: {e}")
        for name, value in saying.items():
            if getattr(self, name) not in (self.declared[name].default, value):
                raise ValueError(f"destination and {name} exclude each other: {text!r} is for {name}={value!r}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "destination", goal)

    def _takeMessages(self, path: str) -> None:
        """
        See what messages there are.
        """
        try:
            found = corpusAt(path, self.messagesRecursive)
        except ValueError as e:
            raise unusable("messages", path, str(e))
        object.__setattr__(self, "messages", found)

    def _tryLogins(self) -> None:
        """
        Not every mechanism can carry every user and password.
        """
        from smtpsource.smtp.sasl import exchange  # for those who need it

        for login in self.logins:
            for mechanism in self.mechanisms:
                try:
                    exchange(mechanism, login)
                except ValueError as e:
                    raise ValueError(f"{mechanism} can't be used for the user {login.user!a}: {e}")
