"""
Ledgers of sinks: messages with ids, and what is written about them.
"""

from __future__ import annotations

import glob
import os

from smtpsource.ledger import records
from smtpsource.ledger.digests import ofAddress, ofBody
from smtpsource.ledger.identity import idOf

#: The id of a run, and its number.
RUN = b"0123456789abcdef"
NUMBER = int(RUN, 16)

#: What a body is when a test doesn't care.
BODY = b"One line.\r\nAnother one.\r\n"

#: The two ways in which a sink keeps a ledger: as fast as it can, and beside all that can be steered.
KINDS = {"ledgered": {}, "steered": {"maxRecipients": 1000}}


def message(number, body=BODY, head=b"Subject: x\r\n"):
    """
    @return: a message with an id.
    """
    return b"X-Smtpsource-Id: " + idOf(RUN, number) + b"\r\n" + head + b"\r\n" + body


def stuffed(content):
    """
    @return: the same as it comes after DATA, with its end.
    """
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def group(content, *recipients, sender=b"a@example.com"):
    """
    @return: all that a client says that sends this in one chunk.
    """
    rcpts = b"".join(b"RCPT TO:<%b>\r\n" % recipient for recipient in recipients or (b"b@example.com",))
    return b"MAIL FROM:<%b>\r\n%bBDAT %d LAST\r\n%b" % (sender, rcpts, len(content), content)


class Read:
    """
    What is in the only ledger of a directory.

    @ivar header: what it says of itself.
    @ivar records: the fields of each record, without those of texts.
    @ivar texts: by what they are and their number.
    """

    def __init__(self, directory):
        (path,) = glob.glob(os.path.join(directory, "*.ledger"))
        with open(path, "rb") as file:
            content = file.read()
        self.header, start = records.parseHeader(content)
        octets = content[start:]
        assert len(octets) % records.SIZE == 0, len(octets)
        each = [octets[at : at + records.SIZE] for at in range(0, len(octets), records.SIZE)]
        self.records = [records.fields(one) for one in each if one[0] not in (records.NAME, records.TEXT)]
        self.texts = {(what, number): text for what, number, text in records.textsOf(octets)}

    def of(self, kind):
        """
        @return: the records of one kind.
        """
        return [one for one in self.records if one["kind"] == kind]

    @property
    def arrivals(self):
        """
        Those that have arrived: the number of the message, the recipient, and what was done to it.
        """
        return [
            (one["number"], self.address(one), records.DEEDS[one["flag"]], one["code"])
            for one in self.of(records.ARRIVAL)
        ]

    def address(self, one):
        """
        @return: the address of a record, which has been named.
        """
        return self.texts[records.ADDRESS, one["address"]]


def arrival(number, session, recipient=b"b@example.com", content=None, body=BODY, head=b"Subject: x\r\n", **others):
    """
    @return: the fields of a usual arrival, but for its time.
    """
    raw, canonical = ofBody(head, body)
    usual = {
        "kind": records.ARRIVAL,
        "flag": 0,
        "index": 0,
        "code": 250,
        "run": NUMBER if number else 0,
        "number": number,
        "address": ofAddress(recipient),
        "raw": raw,
        "canonical": canonical,
        "size": len(message(number, body, head) if content is None else content),
        "session": session,
    }
    return {**usual, **others}
