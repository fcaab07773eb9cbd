"""
What the ledger of a sink has about one message.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import Protocol

from smtpsource.ledger import digests, identity, records, reports
from smtpsource.sink.keeping.digested import Digested


class Ledger(Protocol):
    """
    What is asked of the ledger itself: L{smtpsource.sink.keeping.ledger.SinkLedger}.
    """

    def address(self, text: bytes, /) -> int:
        """
        The number of an address.
        """

    def digestsOf(self, head: bytes, body: bytes, /) -> tuple[int, int]:
        """
        The digests of a body, as it came and in canonical form.
        """

    def put(self, octets: bytes, /) -> None:
        """
        Write records.
        """


class Arrivals:
    """
    What is written about one message: one record for each recipient, all of them in one write(2).

    @ivar number: for how many it has come.
    """

    def __init__(self, ledger: Ledger, content: Digested, session: int, isReport: bool, mail: bytes) -> None:
        """
        @param content: all of it.
        @param isReport: it may be one, for it has no sender.
        @param mail: what followed C{MAIL FROM:}.
        """
        self._ledger = ledger
        self._session = session
        self._octets = bytearray()
        self.number = 0
        self._now = monotonic_ns()
        text = content.report() if isReport else None
        # The envelope of a report may have the id of what it is about.
        self._identity, isDamaged = identity.carried(content.head, mail if text is None else b"")
        if isDamaged:
            self._octets += records.pack(records.DAMAGED, 0, 0, 0, 0, 0, self._now, 0, 0, 0, 0, session)
        self.look(content)
        for report in reports.reportsIn(text) if text is not None else ():
            self._report(report)

    def look(self, content: Digested) -> None:
        """
        From here on, the content is this.
        """
        if content.body is None:
            self._raw, self._canonical = content.result()
        else:
            self._raw, self._canonical = self._ledger.digestsOf(content.head, content.body)
        self._size = min(content.size, records.LARGEST_SIZE)

    def add(self, recipient: tuple[int, int], code: int, deed: str = "", rule: str = "") -> None:
        """
        It has come for a recipient.

        @param recipient: see L{SinkLedger.recipient}.
        @param code: of the reply.
        @param deed: what a rule did to it on purpose.
        @param rule: the name of that rule.
        """
        address, original = recipient
        now, session = self._now, self._session
        if original:
            self._octets += records.pack(records.ORIGINAL, 0, 0, 0, 0, 0, now, original, 0, 0, 0, session)
        if deed:
            name = rule.encode()
            self._octets += records.named(records.RULE, digests.digest(name), name, now)
        flag = records.DEEDS.index(deed)
        self._octets += records.pack(
            records.ARRIVAL, flag, 0, code, *self._identity, now, address,
            self._raw, self._canonical, self._size, session,
        )  # fmt: skip
        self.number += 1

    def _report(self, report: reports.Report) -> None:
        address = 0 if report.address is None else self._ledger.address(report.address)
        self._octets += reports.recordOf(report, address, self._now, self._session)

    @property
    def octets(self) -> bytes:
        """
        What is to be written, or was.
        """
        return bytes(self._octets)

    def write(self) -> None:
        """
        Write it, if it has arrived for anybody.

        @raise OSError: that is not possible, and nothing of it is there.
        """
        if self.number:
            self._ledger.put(self.octets)
