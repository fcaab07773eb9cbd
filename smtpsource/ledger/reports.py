"""
Reports about messages: delivery status notifications (RFC 3464), as servers send them back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import NamedTuple

from smtpsource.ledger import identity, records
from smtpsource.ledger.identity import Identity

#: Octets of a report that are looked at: what was returned with it may be long.
MOST = 1024 * 1024

#: Recipients of one report that are told of.
_RECIPIENTS = 10_000

#: Does a head say that this is one? Its whole value is looked at later.
mayBeReport = re.compile(rb"^content-type:\s*multipart/report\b", re.IGNORECASE | re.MULTILINE).search

_status = re.compile(r"\s*([245])\.([0-9]{1,3})\.([0-9]{1,3})").match


class Report(NamedTuple):
    """
    What is said of one recipient.

    @ivar identity: of the message that it is about; C{None} if nothing says so.
    @ivar address: whom that was for, as far as is known as the sender had it; C{None} likewise.
    @ivar action: C{"failed"}, C{"delayed"}, C{"delivered"}, C{"relayed"} or C{"expanded"}, in small letters; or
        whatever else is there.
    @ivar status: such as 511 for 5.1.1; 0 if there is none.
    """

    identity: Identity | None
    address: bytes | None
    action: str
    status: int


def recordOf(report: Report, address: int, now: int, session: int) -> bytes:
    """
    The record of a report.

    @param address: the number of its address, or 0.
    """
    action = records.ACTIONS.index(report.action) if report.action in records.ACTIONS else 0
    known = report.identity or identity.NOBODY
    return records.pack(records.REPORT, action, 0, report.status, *known, now, address, 0, 0, 0, session)


def reportsIn(content: bytes) -> list[Report]:
    """
    What a message reports. Whatever is wrong with it, it is read as far as that is possible.

    @param content: the whole message.
    @return: a report for each recipient; none if it is no report.
    """
    try:
        return _reportsIn(message_from_bytes(content[:MOST]))
    except Exception:
        # A stranger has written it, and the library has its own ways to fail.
        return []


def _reportsIn(message: Message) -> list[Report]:
    if message.get_content_type() != "multipart/report" or not message.is_multipart():
        return []
    groups: list[Message] = []
    returned: list[Message] = []
    for part in _list(message):
        kind = part.get_content_type()
        if kind in ("message/delivery-status", "message/global-delivery-status"):
            groups += _groups(part)
        elif kind in ("message/rfc822", "message/global") and part.is_multipart():
            returned += _list(part)[:1]
        elif kind in ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers"):
            returned.append(message_from_bytes(_bytes(part)))
    if not groups:
        return []
    texts = [group.get("Original-Envelope-Id") for group in groups]
    texts += [head.get(name) for name in (identity.HEADER.decode("ascii"), "Message-Id") for head in returned]
    known = next(_identities(texts), None)
    return [
        Report(known, _address(group), _text(group.get("Action")).strip().lower(), _statusOf(group))
        for group in groups[:_RECIPIENTS]
        if "Final-Recipient" in group or "Original-Recipient" in group or "Action" in group
    ]


def _list(message: Message) -> list[Message]:
    payload = message.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _bytes(part: Message) -> bytes:
    """
    What is in a part, whether or not the library took it for a message.
    """
    inner = _list(part)
    if inner:
        return inner[0].as_bytes()
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _groups(part: Message) -> list[Message]:
    """
    The groups of fields of a status: of the message first, then of each recipient (RFC 3464 section 2.1).
    """
    inner = _list(part)
    if len(inner) > 1:
        return inner
    blocks = re.split(rb"\r?\n[ \t]*\r?\n", _bytes(part).lstrip())
    return [message_from_bytes(block) for block in blocks[: _RECIPIENTS + 1] if block.strip()]


def _identities(texts: list[str | None]) -> Iterator[Identity]:
    for text in texts:
        try:
            found = identity.parse(_text(text).encode("latin-1", "replace"))
        except ValueError:
            continue
        if found is not None:
            yield found


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _address(group: Message) -> bytes | None:
    """
    Whom a group is about: as the sender had it, if the server knows (RFC 3464 sections 2.3.1 and 2.3.2).
    """
    for name in ("Original-Recipient", "Final-Recipient"):
        kind, semicolon, text = _text(group.get(name)).partition(";")
        text = "".join(text.split()).removeprefix("<").removesuffix(">")
        if semicolon and text and kind.strip().lower() in ("rfc822", "utf-8"):
            return text.encode("utf-8", "surrogateescape")
    return None


def _statusOf(group: Message) -> int:
    found = _status(_text(group.get("Status")))
    return int("".join(found.groups())) if found is not None else 0
