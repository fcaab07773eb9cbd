"""
The message: its envelope, its headers and its size.
"""

from __future__ import annotations

import os
from typing import Any, get_args

from smtpsource.messages import headers
from smtpsource.messages.recipients import WIDEST, Numbering
from smtpsource.values import checks, inputs, kinds, names
from smtpsource.values.files import orStandardInput
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, OneOf, Rule, Rules, allOf, excludes, needs


def _message(value: object) -> bytes:
    message = checks.encoded(value)
    if not message:
        raise ValueError("expected a message, headers and all, not an empty one")
    return message


def _wholeMessage(text: str) -> bytes:
    path = orStandardInput(text)
    try:
        message = inputs.readStandard(inputs.MESSAGE) if path == "-" else inputs.read(path, inputs.MESSAGE)
    except OSError as e:
        raise ValueError(f"expected a readable file: {e.strerror}")
    except MemoryError:
        raise ValueError("expected a message that fits into memory")
    if not message:
        raise ValueError("expected a message, headers and all; this file is empty")
    return message


#: A part of a line; on a command line, the bytes that were typed.
ofLine = Kind(lambda text: names.oneLine(os.fsencode(text)), checks.oneLine)


def ofMail(*paths: str) -> Rule:
    """
    The rule that these settings are for mail, and of no effect where none is sent.
    """
    return excludes("{exercise:c}", "it sends no mail", *paths, when=lambda plan: plan.exercise != "mail")


def _oneSubject(plan: Any) -> Rules:
    if plan.subject is not None and "subject" in map(headers.name, plan.headers):
        yield Contradiction(plan, "{subject:f} and {headers} 'Subject:' exclude each other: give one of them")


def _isNumbered(plan: Any) -> bool:
    # With recipients, who comes from there is numbered only if that is asked for.
    several = plan.recipientCount is not None or plan.recipientsDistribution is not None
    return bool(plan.numberRecipients or (several and plan.recipients is None))


class Message(Settings):
    """
    @ivar sender: the envelope's and the From header's, without brackets; C{None} is C{foo@myhostname}.
    @ivar recipient: the envelope's and the To header's, without brackets; C{None} is C{foo@myhostname}.
    @ivar recipientCount: recipients of each message; C{None} is one.
    @ivar numberRecipients: every recipient of the run gets its own number.
    @ivar recipientNumbering: C{"prefix"}, as before Postfix 3.9, or C{"suffix"}, as since.
    @ivar subject: of generated messages.
    @ivar length: bytes of a generated body, or C{None} for a short one.
    @ivar message: a whole message to send instead of generated ones, as it would be in a file.
    @ivar headers: more headers, as on the command line: each a name, a colon and a value. They stand before those that
        C{message} or the C{messages} have.
    @ivar numberStart: the first number of a recipient; C{None} is 1 for a prefix, 0 for a suffix.
    @ivar numberWidth: numbers have at least so many digits.
    """

    heading = "Message"
    rules = allOf(
        ofMail(
            *("sender", "recipient", "recipientCount", "numberRecipients", "recipientNumbering", "subject", "length"),
            *("message", "headers"),
        ),
        OneOf("length", "message", "messages", "sizeDistribution"),
        OneOf("recipientCount", "recipientsDistribution"),
        OneOf("sender", "senders"),
        OneOf("recipient", "recipients"),
        OneOf("subject", "messages"),
        excludes("{oldMode:f}", "it generates no headers", "headers", when=lambda plan: plan.oldMode),
        _oneSubject,
        needs(
            "{numberRecipients:f}, or {recipientCount:l} without {recipients}",
            *("numberStart", "numberWidth"),
            unless=_isNumbered,
        ),
    )

    sender: bytes | str | None = option(
        "ADDR", ofLine, "envelope and header sender (default: foo@NAME)", letter="f", default=None
    )
    recipient: bytes | str | None = option(
        "ADDR", ofLine, "envelope and header recipient (default: foo@NAME)", letter="t", default=None
    )
    recipientCount: int | None = option(
        "N", kinds.count, "recipients of each message (default: 1)", letter="r", default=None
    )
    numberRecipients: bool = switch("give every recipient of the run its own number", letter="N", default=False)
    recipientNumbering: Numbering = option(
        "WAY",
        kinds.words(*get_args(Numbering)),
        "prefix, 1user@domain, as before Postfix 3.9; or suffix, user0@domain, as since then",
        default="prefix",
    )
    subject: bytes | str | None = option("TEXT", ofLine, "a Subject header", letter="S", default=None)
    length: int | None = option(
        "BYTES", kinds.size, "body size, without headers (default: 4 short lines)", letter="l", default=None
    )
    message: bytes | str | None = option(
        "FILE",
        Kind(_wholeMessage, _message),
        "send this file, headers and all; - is standard input",
        letter="F",
        long="message-file",
        default=None,
    )
    headers: tuple[bytes, ...] | tuple[str, ...] = option(
        "LINE",
        Kind(lambda text: headers.header(os.fsencode(text)), headers.given),
        "one more header, such as 'X-Run: {run} {n}'; {session}, {size}, {date} and {random:8} are filled in, too, "
        "also in -S",
        long="header",
        repeated=True,
        default=(),
    )
    numberStart: int | None = option(
        "N",
        kinds.wholeNumber(0),
        "the first number of a recipient (default: 1, or 0 with suffix)",
        default=None,
    )
    numberWidth: int | None = option(
        "N", kinds.wholeNumber(1, WIDEST), "pad numbers with zeros to this many digits", default=None
    )
