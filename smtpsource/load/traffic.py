"""
What a plan's traffic is made of.
"""

from __future__ import annotations

from collections.abc import Callable

from smtpsource.interfaces import IContentSource
from smtpsource.load import parts
from smtpsource.messages import headers, message, recipients, seeds, templates
from smtpsource.messages.bodies import SameBody, SizedBodies, WholeBody
from smtpsource.messages.content import DEFAULT_BODY, FileContent, GeneratedContent, bodyOfSize, lines
from smtpsource.messages.corpus import Corpus
from smtpsource.messages.message import DrawnTraffic, Recipients, Traffic
from smtpsource.messages.sizes import Fixed
from smtpsource.messages.stored import StoredBodies
from smtpsource.messages.templates import Template
from smtpsource.messages.varied import Bodies, VariedTraffic
from smtpsource.messages.weighted import Weighted
from smtpsource.plan import SourcePlan
from smtpsource.smtp import commands
from smtpsource.values.numbers import LARGEST


def traffic(plan: SourcePlan) -> Traffic | VariedTraffic:
    """
    A new stream of a plan's messages.
    """
    return _Assembly(plan).traffic()


class _Assembly:
    """
    The parts of one stream of messages.
    """

    def __init__(self, plan: SourcePlan) -> None:
        assert not isinstance(plan.sender, str) and not isinstance(plan.recipient, str)
        self.plan = plan
        self.run = seeds.runId(plan.seed)
        self.headers = headers.given(plan.headers)
        self.myhostname = plan.myhostname.encode("ascii")
        default = b"foo@" + self.myhostname
        self.sender = default if plan.sender is None else plan.sender
        self.recipient = default if plan.recipient is None else plan.recipient

    def traffic(self) -> Traffic | VariedTraffic:
        plan = self.plan
        drawn = plan.recipients is not None or plan.domains is not None or plan.recipientsDistribution is not None
        varied = drawn or plan.senders is not None or plan.messages is not None or plan.sizeDistribution is not None
        if varied or self.headers or self._subjectIsTemplate():
            return self._variedTraffic(self._drawnRecipients() if drawn else self._recipients())
        contents = self._contents()
        # SIZE says the longest that any message gets: it may be an estimate, but not less (RFC 1870 section 5).
        digits = max(plan.numberWidth or 0, len(str(LARGEST)))
        longest = contents.bdatContent(LARGEST, self.recipient + b"9" * digits)
        ofMail = plan.parameters.ofMail(sum(map(len, longest)))
        kind = Traffic if plan.seed is None else DrawnTraffic
        return kind(self.sender, self._recipients(), contents, ofMail, self.run)

    def _subjectIsTemplate(self) -> bool:
        plan = self.plan
        if plan.subject is None or plan.message is not None or plan.oldMode:
            return False
        assert not isinstance(plan.subject, str)
        return not templates.isLiteral(templates.parseSubject(plan.subject))

    def _recipients(self) -> Recipients:
        plan = self.plan
        perMessage = plan.recipientCount or 1
        ofRcpt = plan.parameters.ofRcpt()
        start, width = plan.numberStart, plan.numberWidth
        if plan.recipientNumbering == "suffix":
            if plan.numberRecipients or plan.recipientCount is not None:
                return message.numberedAfter(self.recipient, perMessage, ofRcpt, start or 0, width)
        elif plan.numberRecipients:
            return message.numberedBefore(self.recipient, perMessage, ofRcpt, 1 if start is None else start, width)
        elif perMessage > 1:
            return message.countedDown(self.recipient, perMessage, ofRcpt, 1 if start is None else start, width)
        return message.sameRecipient(self.recipient, ofRcpt)

    def _contents(self) -> IContentSource:
        plan = self.plan
        assert not isinstance(plan.message, str) and not isinstance(plan.subject, str)
        if plan.message is not None:
            return FileContent(plan.message)
        return GeneratedContent(
            self.sender,
            self.myhostname,
            DEFAULT_BODY if plan.length is None else bodyOfSize(plan.length),
            subject=plan.subject,
            headers=not plan.oldMode,
            run=self.run,
        )

    # Traffic that is drawn

    def _variedTraffic(self, recipients: Recipients) -> VariedTraffic:
        plan = self.plan
        return VariedTraffic(
            self.run,
            self._mail(),
            self._drawing(plan.senders, "senders") if plan.senders is not None else lambda: self.sender,
            recipients,
            self._bodies(),
            self._heads(),
            parts.generator(plan, "headers"),
            sized=plan.parameters.size,
        )

    def _mail(self) -> Callable[[bytes, int | None], bytes]:
        parameters = self.plan.parameters
        if parameters.size:
            return lambda sender, size: commands.mail(sender, parameters.ofMail(size or 0))
        same = parameters.ofMail(0)
        return lambda sender, size: commands.mail(sender, same)

    def _drawing(self, values: object, purpose: str) -> Callable[[], bytes]:
        assert isinstance(values, Weighted)
        return values.drawing(parts.generator(self.plan, purpose))

    def _drawnRecipients(self) -> Recipients:
        plan = self.plan
        listed = plan.recipients is not None
        addresses = self._drawing(plan.recipients, "recipients") if listed else lambda: self.recipient
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
        plan = self.plan
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
        plan = self.plan
        if plan.oldMode or plan.message is not None:
            without = Template((), self.run)
            return without, without
        if plan.messages is not None:
            return self._stored(False), self._stored(True)
        assert not isinstance(plan.subject, str)
        head = Template(headers.generated(self.myhostname, plan.subject, self.headers), self.run)
        return head, head

    def _stored(self, identified: bool) -> Template:
        return Template(headers.beforeStored(self.myhostname, self.headers, identified), self.run)
