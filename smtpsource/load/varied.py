"""
What a plan's traffic is made of where something is drawn for each message, or filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from smtpsource.messages import headers, recipients
from smtpsource.messages.bodies import SameBody, SizedBodies, WholeBody, isHeaded
from smtpsource.messages.content import DEFAULT_BODY, bodyOfSize, lines
from smtpsource.messages.corpus import Corpus
from smtpsource.messages.draws import Draws, draws
from smtpsource.messages.message import Recipients
from smtpsource.messages.sizes import Fixed
from smtpsource.messages.stored import StoredBodies
from smtpsource.messages.templates import Template
from smtpsource.messages.varied import Bodies, VariedTraffic
from smtpsource.messages.weighted import Several, Weighted
from smtpsource.plan import SourcePlan
from smtpsource.smtp import commands

if TYPE_CHECKING:
    from smtpsource.ledger.notes import Notes


class VariedAssembly:
    """
    The parts of one stream of such messages.
    """

    def __init__(
        self,
        plan: SourcePlan,
        run: bytes,
        sender: bytes,
        recipient: bytes,
        added: tuple[bytes, ...],
        notes: Notes | None = None,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """
        @param run: the run's id.
        @param sender: who sends a message where no senders are drawn.
        @param recipient: who gets it, likewise.
        @param added: more headers.
        @param notes: where each message is to be noted; C{None} if there is no ledger.
        @param numbers: those of the messages; C{None}: all, from 1.
        """
        self._notes = notes
        self._numbers = numbers
        self._plan = plan
        self._run = run
        self._sender = sender
        self._recipient = recipient
        self._added = added
        self._myhostname = plan.myhostname.encode("ascii")

    def traffic(self, undrawn: Recipients | None) -> VariedTraffic:
        """
        A new stream.

        @param undrawn: its recipients: the same for all messages, or numbered; C{None}: they are drawn.
        """
        plan, notes = self._plan, self._notes
        kind: Callable[..., VariedTraffic] = VariedTraffic
        recipients = self._drawnRecipients() if undrawn is None else undrawn
        if notes is not None:
            from smtpsource.messages.identified import withOriginal  # for those who keep one
            from smtpsource.messages.identifiedvaried import IdentifiedVariedTraffic

            kind = partial(IdentifiedVariedTraffic, notes, **self._ofLedger())
            if plan.parameters.dsn:
                recipients = withOriginal(recipients)
        return kind(
            self._run,
            self._mail(),
            self._senders(),
            recipients,
            self._bodies(),
            self._heads(),
            self._draws("headers"),
            sized=plan.parameters.size,
            numbers=self._numbers,
        )

    def _ofLedger(self) -> dict[str, Any]:
        """
        What more there is to say of messages with ids.
        """
        plan, parameters = self._plan, self._plan.parameters
        unheaded = None
        if plan.messages is not None:
            alone = headers.alone(self._added, noted=True)
            stored = headers.beforeStored(self._myhostname, self._added, False, noted=True)
            unheaded = Template([*(alone if plan.oldMode else stored), b"\r\n"], self._run)
        return {"unheaded": unheaded, "enveloped": parameters.dsn and parameters.envid is None}

    def _mail(self) -> Callable[[bytes, int | None], bytes]:
        parameters = self._plan.parameters
        if parameters.size:
            return lambda sender, size: commands.mail(sender, parameters.ofMail(size or 0))
        same = parameters.ofMail(0)
        return lambda sender, size: commands.mail(sender, same)

    def _draws(self, purpose: str) -> Draws:
        return draws(self._plan.seedInUse, purpose)

    def _senders(self) -> Callable[[int], bytes]:
        senders = self._plan.senders
        if senders is None:
            return lambda number: self._sender
        assert isinstance(senders, Weighted)
        return senders.drawing(self._draws("senders"))

    def _drawnRecipients(self) -> Recipients:
        plan = self._plan
        listed = plan.recipients is not None
        addresses = self._several(plan.recipients, "recipients") if listed else self._sameRecipients
        if plan.domains is not None:
            addresses = recipients.withDomains(addresses, self._several(plan.domains, "domains"))
        # Who comes from a list needs no number to be different from the others.
        several = not listed and (plan.recipientCount is not None or plan.recipientsDistribution is not None)
        if plan.recipientNumbering == "suffix":
            numbering = recipients.AFTER if plan.numberRecipients or several else recipients.NOT
        elif plan.numberRecipients:
            numbering = recipients.BEFORE
        else:
            numbering = recipients.DOWN if several else recipients.NOT
        # Do numbers or addresses go on from one message to the next?
        goesOn = numbering in (recipients.BEFORE, recipients.AFTER) or getattr(plan.recipients, "weights", ()) is None
        return recipients.drawn(
            addresses,
            self._counts(goesOn),
            numbering,
            plan.numberStart,
            plan.numberWidth,
            plan.parameters.ofRcpt(),
        )

    def _sameRecipients(self, number: int, before: int, several: int) -> list[bytes]:
        return [self._recipient] * several

    def _several(self, values: object, purpose: str) -> Several[bytes]:
        assert isinstance(values, Weighted)
        return values.severalDrawing(self._draws(purpose))

    def _counts(self, goesOn: bool) -> recipients.Counts:
        """
        How many recipients messages have.

        @param goesOn: does it matter for a message how many others have?
        """
        howMany = self._plan.recipientsDistribution
        if howMany is None or isinstance(howMany, Fixed):
            return recipients.same(howMany.value if howMany is not None else self._plan.recipientCount or 1)
        assert not isinstance(howMany, str)
        draw = howMany.drawing(self._draws("recipients of a message"))
        return recipients.Counted(draw) if goesOn else recipients.uncounted(draw)

    def _bodies(self) -> Bodies:
        plan = self._plan
        if plan.messages is not None:
            assert isinstance(plan.messages, Corpus)
            return StoredBodies(plan.messages, plan.pick, self._draws("messages"))
        if plan.sizeDistribution is not None:
            assert not isinstance(plan.sizeDistribution, str)
            return SizedBodies(plan.sizeDistribution.drawing(self._draws("sizes")))
        if plan.message is not None:
            assert not isinstance(plan.message, str)
            return SameBody(WholeBody(lines(plan.message), headed=self._isHeaded()))
        body = DEFAULT_BODY if plan.length is None else bodyOfSize(plan.length)
        return SameBody(WholeBody(body, size=len(body) - 2))

    def _heads(self) -> tuple[Template, Template]:
        plan = self._plan
        if plan.messages is not None and not plan.oldMode:
            return self._stored(False), self._stored(True)
        noted = self._notes is not None
        if plan.oldMode or plan.message is not None:
            lines = headers.alone(self._added, noted=noted)
            if noted and plan.messages is None and not self._isHeaded():
                lines = [*lines, b"\r\n"]
        else:
            assert not isinstance(plan.subject, str)
            lines = headers.generated(self._myhostname, plan.subject, self._added, noted=noted)
        head = Template(lines, self._run)
        return head, head

    def _isHeaded(self) -> bool:
        """
        Is the message a file with headers?
        """
        message = self._plan.message
        assert not isinstance(message, str)
        return message is not None and isHeaded(message)

    def _stored(self, identified: bool) -> Template:
        noted = self._notes is not None
        return Template(headers.beforeStored(self._myhostname, self._added, identified, noted=noted), self._run)
