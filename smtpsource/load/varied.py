"""
What a plan's traffic is made of where something is drawn for each message, or filled in.
"""

from __future__ import annotations

from collections.abc import Callable

from smtpsource.load import parts
from smtpsource.messages import headers, recipients
from smtpsource.messages.bodies import SameBody, SizedBodies, WholeBody
from smtpsource.messages.content import DEFAULT_BODY, bodyOfSize, lines
from smtpsource.messages.corpus import Corpus
from smtpsource.messages.message import Recipients
from smtpsource.messages.sizes import Fixed
from smtpsource.messages.stored import StoredBodies
from smtpsource.messages.templates import Template
from smtpsource.messages.varied import Bodies, VariedTraffic
from smtpsource.messages.weighted import Weighted
from smtpsource.plan import SourcePlan
from smtpsource.smtp import commands


class VariedAssembly:
    """
    The parts of one stream of such messages.
    """

    def __init__(self, plan: SourcePlan, run: bytes, sender: bytes, recipient: bytes, added: tuple[bytes, ...]) -> None:
        """
        @param run: the run's id.
        @param sender: who sends a message where no senders are drawn.
        @param recipient: who gets it, likewise.
        @param added: more headers.
        """
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
        plan = self._plan
        return VariedTraffic(
            self._run,
            self._mail(),
            self._drawing(plan.senders, "senders") if plan.senders is not None else lambda: self._sender,
            self._drawnRecipients() if undrawn is None else undrawn,
            self._bodies(),
            self._heads(),
            parts.generator(plan, "headers"),
            sized=plan.parameters.size,
        )

    def _mail(self) -> Callable[[bytes, int | None], bytes]:
        parameters = self._plan.parameters
        if parameters.size:
            return lambda sender, size: commands.mail(sender, parameters.ofMail(size or 0))
        same = parameters.ofMail(0)
        return lambda sender, size: commands.mail(sender, same)

    def _drawing(self, values: object, purpose: str) -> Callable[[], bytes]:
        assert isinstance(values, Weighted)
        return values.drawing(parts.generator(self._plan, purpose))

    def _drawnRecipients(self) -> Recipients:
        plan = self._plan
        listed = plan.recipients is not None
        addresses = self._drawing(plan.recipients, "recipients") if listed else lambda: self._recipient
        domains = None if plan.domains is None else self._drawing(plan.domains, "domains")
        howMany = (
            Fixed(plan.recipientCount or 1) if plan.recipientsDistribution is None else plan.recipientsDistribution
        )
        assert not isinstance(howMany, str)
        # Who comes from a list needs no number to be different from the others.
        several = not listed and (plan.recipientCount is not None or plan.recipientsDistribution is not None)
        if plan.recipientNumbering == "suffix":
            numbering = recipients.AFTER if plan.numberRecipients or several else recipients.NOT
        elif plan.numberRecipients:
            numbering = recipients.BEFORE
        else:
            numbering = recipients.DOWN if several else recipients.NOT
        return recipients.drawn(
            recipients.withDomains(addresses, domains),
            howMany.drawing(parts.generator(plan, "recipients of a message")),
            numbering,
            plan.numberStart,
            plan.numberWidth,
            plan.parameters.ofRcpt(),
        )

    def _bodies(self) -> Bodies:
        plan = self._plan
        if plan.messages is not None:
            assert isinstance(plan.messages, Corpus)
            return StoredBodies(plan.messages, plan.pick, parts.generator(plan, "messages"))
        if plan.sizeDistribution is not None:
            assert not isinstance(plan.sizeDistribution, str)
            return SizedBodies(plan.sizeDistribution.drawing(parts.generator(plan, "sizes")))
        if plan.message is not None:
            assert not isinstance(plan.message, str)
            return SameBody(WholeBody(lines(plan.message)))
        body = DEFAULT_BODY if plan.length is None else bodyOfSize(plan.length)
        return SameBody(WholeBody(body, size=len(body) - 2))

    def _heads(self) -> tuple[Template, Template]:
        plan = self._plan
        if plan.oldMode or plan.message is not None:
            alone = Template(headers.alone(self._added), self._run)
            return alone, alone
        if plan.messages is not None:
            return self._stored(False), self._stored(True)
        assert not isinstance(plan.subject, str)
        head = Template(headers.generated(self._myhostname, plan.subject, self._added), self._run)
        return head, head

    def _stored(self, identified: bool) -> Template:
        return Template(headers.beforeStored(self._myhostname, self._added, identified), self._run)
