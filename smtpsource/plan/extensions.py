"""
Extensions of SMTP, and commands in groups.
"""

from __future__ import annotations

from typing import Any

from smtpsource.plan.message import ofMail
from smtpsource.smtp import xclient
from smtpsource.smtp.commands import ExtensionMode, extensionMode
from smtpsource.smtp.xclient import Attributes
from smtpsource.values import kinds
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch
from smtpsource.values.rules import Contradiction, Rules, allOf, excludes, needs


def _xclient(value: object) -> Attributes:
    """
    A text, or pairs of an attribute and its value.
    """
    if isinstance(value, list | tuple):
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
            raise ValueError("expected pairs of an attribute and its value")
        return xclient.checked(value) if value else ()
    if not isinstance(value, str):
        raise ValueError("expected a str")
    return xclient.parse(value) if value else ()


def _asksForNothing(plan: Any) -> Rules:
    if plan.oldMode:
        for name in ("pipelining", "chunking"):
            if getattr(plan, name) in ("auto", "require"):
                yield Contradiction(
                    plan, f"{{oldMode:f}} and {{{name}}} {{plan.{name}!r}} exclude each other: it says no EHLO"
                )


def _hasRoomAhead(plan: Any) -> Rules:
    perConnection = plan.messagesPerConnection
    if plan.window > 1 and (perConnection or (2 if plan.keepConnections else 1)) < 2:
        yield Contradiction(
            plan,
            "{window} needs {keepConnections:f}, or {messagesPerConnection} of more than 1",
            about=("window", "keepConnections" if perConnection is None else "messagesPerConnection"),
        )


class Extensions(Settings):
    """
    @ivar esmtp: say EHLO instead of HELO; HELO again where that is refused.
    @ivar pipelining: send MAIL, every RCPT and DATA in one write, and with C{keepConnections} the next message's along
        with a content: C{"off"}; C{"auto"}, where the server announces it; C{"require"}, it is a fault if the server
        does not; C{"force"}, whatever it announces. C{"auto"} and C{"require"} imply C{esmtp}.
    @ivar chunking: send content by BDAT (RFC 3030); the modes are those of C{pipelining}. With both, MAIL, every RCPT
        and BDAT with the content go out in one write.
    @ivar chunkSize: bytes of each chunk but the last, or C{None} for one chunk.
    @ivar window: with C{pipelining} and C{chunking}, how many transactions of a connection may be without their final
        reply; needs C{keepConnections} or C{messagesPerConnection}, and no pauses.
    @ivar xclient: attributes for Postfix's XCLIENT, as a text such as C{"NAME=client.example ADDR=192.0.2.1"}, or as
        pairs of an attribute and its value, which may have anything in it then.
    """

    heading = "Extensions"
    rules = allOf(
        ofMail("pipelining", "chunking", "window"),
        _asksForNothing,
        excludes("{oldMode:f}", "it says no EHLO", "esmtp", "xclient", when=lambda plan: plan.oldMode),
        excludes("{lmtp:f}", "LHLO asks for extensions, too", "esmtp", when=lambda plan: plan.lmtp),
        needs("{chunking}", "chunkSize", unless=lambda plan: plan.chunking != "off"),
        needs("{pipelining}", "window", unless=lambda plan: plan.pipelining != "off"),
        needs("{chunking}", "window", unless=lambda plan: plan.chunking != "off"),
        _hasRoomAhead,
        excludes(
            "{window}",
            "with pauses nothing is sent ahead",
            *("fixedInterval", "randomInterval"),
            when=lambda plan: plan.window > 1,
        ),
    )

    esmtp: bool = switch("say EHLO, and HELO only where that is refused", default=False)
    pipelining: ExtensionMode = option(
        "MODE",
        kinds.text(extensionMode),
        "send commands in groups: off; auto, where the server announces it; require; force, even where it does not",
        default="off",
    )
    chunking: ExtensionMode = option(
        "MODE",
        kinds.text(extensionMode),
        "send content by BDAT, not DATA; with --pipelining it goes along with its envelope; the same modes",
        default="off",
    )
    chunkSize: int | None = option("BYTES", kinds.size, "with --chunking, cut content into chunks", default=None)
    window: int = option(
        "N",
        kinds.count,
        "with --pipelining, --chunking and -d: transactions under way on each connection",
        default=1,
    )
    xclient: tuple[tuple[str, str], ...] | str = option(
        "ATTRS",
        Kind(xclient.parse, _xclient),
        "Postfix's XCLIENT: NAME=client.example,ADDR=192.0.2.1 and so on",
        default=(),
    )
