"""
Values of the options of C{smtpsource reconcile}. Each function makes one of a text, or raises C{ValueError} with what
was expected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from smtpsource.ledger.identity import Identity, parse
from smtpsource.ledger.numbers import HIGHEST
from smtpsource.measure import thresholds
from smtpsource.measure.thresholds import Threshold
from smtpsource.tools.reconciling import LATEST
from smtpsource.values import files

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def run(text: str) -> str:
    """
    Which run; L{LATEST} is the one that was begun last.
    """
    if text != LATEST and re.fullmatch(r"[0-9a-f]{16}", text) is None:
        raise ValueError(f"expected a run's id, 16 hexadecimal digits, or {LATEST}")
    return text


def identityOf(text: str) -> Identity:
    """
    The id of a message.
    """
    try:
        found = parse(text.encode())
    except ValueError:
        found = None
    if found is None or found.number >= HIGHEST:
        raise ValueError("expected the id of a message, such as 0123456789abcdef-1-79fbb7c2, whose check is right")
    return found


def imap(text: str) -> SplitResult:
    """
    A mailbox of an IMAP server.
    """
    from smtpsource.ledger.mailboxes import placeOf  # for those who have one

    return placeOf(text)


def maildir(text: str) -> str:
    """
    A Maildir.
    """
    from smtpsource.ledger.mailboxes import maildirAt

    return maildirAt(text)


def mbox(text: str) -> str:
    """
    An mbox file.
    """
    from smtpsource.ledger.mailboxes import mboxAt

    return mboxAt(files.readableFile(text))


def queue(text: str) -> str:
    """
    Postfix's C{queue_directory}.
    """
    from smtpsource.ledger.mailboxes import queueAt

    return queueAt(text)


def threshold(text: str) -> Threshold:
    """
    One that asks for nothing but what the ledgers say.
    """
    return thresholds.parse(text, onlyLedger=True)
