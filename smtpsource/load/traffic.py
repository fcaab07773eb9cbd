"""
What a plan's traffic is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from smtpsource.interfaces import IContentSource
from smtpsource.messages import headers, message, seeds, templates
from smtpsource.messages.content import DEFAULT_BODY, FileContent, GeneratedContent, bodyOfSize
from smtpsource.messages.message import Recipients, Traffic
from smtpsource.plan import SourcePlan
from smtpsource.values.numbers import LARGEST

if TYPE_CHECKING:
    from smtpsource.ledger.notes import Notes
    from smtpsource.messages.varied import VariedTraffic


def traffic(
    plan: SourcePlan, run: bytes | None = None, notes: Notes | None = None, numbers: Iterator[int] | None = None
) -> Traffic | VariedTraffic:
    """
    A new stream of a plan's messages.

    @param run: the run's id, if it is known already.
    @param notes: where each message is to be noted before it leaves; C{None} if there is no ledger.
    @param numbers: those of the messages that this process sends, in any order: what is in a message follows from its
        number. C{None}: it sends all.
    """
    return _Assembly(plan, seeds.runId(plan.seed) if run is None else run, notes, numbers).traffic()


class _Assembly:
    """
    The parts of one stream of messages.
    """

    def __init__(self, plan: SourcePlan, run: bytes, notes: Notes | None, numbers: Iterator[int] | None) -> None:
        assert not isinstance(plan.sender, str) and not isinstance(plan.recipient, str)
        self.plan = plan
        self.run = run
        self.notes = notes
        self.numbers = numbers
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
            from smtpsource.load.varied import VariedAssembly  # for those who have some

            assembly = VariedAssembly(
                *(plan, self.run, self.sender, self.recipient, self.headers, self.notes, self.numbers)
            )
            return assembly.traffic(None if drawn else self._recipients())
        contents = self._contents()
        # SIZE says the longest that any message gets: it may be an estimate, but not less (RFC 1870 section 5).
        digits = max(plan.numberWidth or 0, len(str(LARGEST)))
        longest = contents.bdatContent(LARGEST, self.recipient + b"9" * digits)
        ofMail = plan.parameters.ofMail(sum(map(len, longest)))
        if self.notes is not None:
            from smtpsource.messages.identified import IdentifiedTraffic, withOriginal  # for those who keep a ledger

            recipients = withOriginal(self._recipients()) if plan.parameters.dsn else self._recipients()
            return IdentifiedTraffic(
                *(self.notes, self.sender, recipients, contents, ofMail, self.run),
                enveloped=plan.parameters.dsn and plan.parameters.envid is None,
                numbers=self.numbers,
            )
        recipients = self._recipients()
        if self._areNumbered() and plan.seed is None and self.numbers is None:
            recipients = message.inOrder(recipients)
        return Traffic(self.sender, recipients, contents, ofMail, self.run, self.numbers)

    def _subjectIsTemplate(self) -> bool:
        plan = self.plan
        if plan.subject is None or plan.message is not None or plan.oldMode:
            return False
        assert not isinstance(plan.subject, str)
        return not templates.isLiteral(templates.parseSubject(plan.subject))

    def _areNumbered(self) -> bool:
        """
        Has each recipient of the run a number of its own?
        """
        plan = self.plan
        return plan.numberRecipients or (plan.recipientNumbering == "suffix" and plan.recipientCount is not None)

    def _recipients(self) -> Recipients:
        plan = self.plan
        perMessage = plan.recipientCount or 1
        ofRcpt = plan.parameters.ofRcpt()
        start, width = plan.numberStart, plan.numberWidth
        if self._areNumbered():
            if plan.recipientNumbering == "suffix":
                return message.numberedAfter(self.recipient, perMessage, ofRcpt, start or 0, width)
            return message.numberedBefore(self.recipient, perMessage, ofRcpt, 1 if start is None else start, width)
        if perMessage > 1:
            return message.countedDown(self.recipient, perMessage, ofRcpt, 1 if start is None else start, width)
        return message.sameRecipient(self.recipient, ofRcpt)

    def _contents(self) -> IContentSource:
        plan = self.plan
        assert not isinstance(plan.message, str) and not isinstance(plan.subject, str)
        ofFile: Callable[[bytes], IContentSource] = FileContent
        generated: Callable[..., IContentSource] = GeneratedContent
        if self.notes is not None:
            from smtpsource.messages.identified import IdentifiedContent, IdentifiedFile  # for those who keep a ledger

            ofFile = partial(IdentifiedFile, self.notes.idOf)
            generated = partial(IdentifiedContent, self.notes.idOf)
        if plan.message is not None:
            return ofFile(plan.message)
        return generated(
            self.sender,
            self.myhostname,
            DEFAULT_BODY if plan.length is None else bodyOfSize(plan.length),
            subject=plan.subject,
            headers=not plan.oldMode,
            run=self.run,
        )
