"""
What a server calls a message that it has taken: the id that its log has, as far as its reply says it.
"""

from __future__ import annotations

import re

#: How servers say it. A text that fits several belongs to the first.
_FORMS = (
    # Postfix, and what stands before it: "2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4bXYZ".
    rb"queued as ([\w.-]+)",
    # Exim.
    rb"OK id=([\w-]+)",
    # Exchange: its number, or that and the message's own id.
    rb"\[InternalId=([0-9]+)",
    # Sendmail and OpenSMTPD.
    rb"([\w]+) Message accepted for delivery",
    # Dovecot's LMTP server.
    rb"<[^>]*> ([\w+/:.=-]+) Saved",
    # Gmail.
    rb"OK +[0-9]+ ([\w.-]+) - gsmtp",
    # qmail.
    rb"ok [0-9]+ qp ([0-9]+)",
    # Haraka.
    rb"Message Queued \(([\w.-]+)\)",
    # Stalwart.
    rb"queued with id ([\w-]+)",
)

_find = re.compile(rb"|".join(_FORMS)).search


def queueId(reply: bytes) -> str | None:
    """
    The id in a reply to a content that was accepted; C{None} if there is none that is known.
    """
    match = _find(reply)
    return None if match is None else str(match[match.lastindex or 0], "ascii", "replace")
