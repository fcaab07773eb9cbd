"""
Commands of a client (RFC 5321 section 4.1, RFC 2033 section 4.1): their bytes, built once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from smtpsource import credentials
from smtpsource.values import names

if TYPE_CHECKING:
    from smtpsource.credentials import Credentials
    from smtpsource.net.tls.client import TLSConnection
    from smtpsource.smtp.interfaces import SCRAMKeys

STARTTLS = b"STARTTLS\r\n"
NOOP = b"NOOP\r\n"
DATA = b"DATA\r\n"
RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"


def mail(sender: bytes, parameters: bytes = b"") -> bytes:
    """
    MAIL for a reverse-path, pasted as it is between the brackets; empty for the null reverse-path.

    @param parameters: each with a blank before it.
    """
    return b"MAIL FROM:<" + sender + b">" + parameters + b"\r\n"


def rcpt(recipient: bytes, parameters: bytes = b"") -> bytes:
    """
    RCPT for a forward-path, pasted as it is between the brackets.

    @param parameters: each with a blank before it.
    """
    return b"RCPT TO:<" + recipient + b">" + parameters + b"\r\n"


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """
    How a client talks to this server, whatever the message.

    @ivar greeting: HELO, EHLO or LHLO with our name, or C{None}: go straight to MAIL.
    @ivar fallback: HELO, to be said where EHLO is refused with 5xx (RFC 5321 section 3.2); C{None} if there is nothing
        else to say.
    @ivar extended: the greeting asks which extensions the server has: EHLO and LHLO do.
    @ivar lmtp: each accepted recipient gets its own reply to the content (RFC 2033 section 4.2).
    @ivar tolerant: a refused greeting, recipient or transaction is abandoned and the connection used further;
        otherwise any refusal ends in QUIT.
    @ivar required: extensions that the server has to announce; otherwise it is a fault.
    @ivar pipelining: send commands in groups (RFC 2920): C{"off"}; C{"auto"}, if the server announces it;
        C{"require"}, which C{required} has, too; C{"force"}, whatever it announces.
    @ivar chunking: send content by BDAT (RFC 3030); as C{pipelining}.
    @ivar chunkSize: bytes of each chunk but the last; C{None} is one chunk for all.
    @ivar window: with pipelining and chunking, how many transactions may be without their final reply.
    @ivar proxyHeader: gives what is sent before all else, for the transport's peer; C{None} for nothing.
    @ivar tls: makes the TLS of a connection, for the name of its server, or C{None} where that is the destination's;
        C{None} for no TLS.
    @ivar implicitTLS: TLS from the first byte on, without STARTTLS.
    @ivar xclient: attributes and values for Postfix's XCLIENT; empty for no such command.
    @ivar mechanisms: to log in with, in order of preference; empty for no AUTH.
    @ivar login: gives who to log in as, for each connection.
    @ivar scramIterations: the most iterations that a server may ask for in SCRAM.
    @ivar keys: works out the keys that SCRAM needs, beside the reactor; C{None}: each connection does it at once.
    @ivar exercise: what a message is: C{"mail"}, a transaction; C{"noop"}, a NOOP; C{"connect"}, nothing more.
    """

    greeting: bytes | None
    fallback: bytes | None = None
    extended: bool = False
    lmtp: bool = False
    tolerant: bool = False
    required: tuple[str, ...] = ()
    pipelining: str = "off"
    chunking: str = "off"
    chunkSize: int | None = None
    window: int = 1
    proxyHeader: Callable[[Any], bytes] | None = None
    tls: Callable[[str | None], TLSConnection] | None = None
    implicitTLS: bool = False
    xclient: tuple[tuple[str, str], ...] = ()
    mechanisms: tuple[str, ...] = ()
    login: Callable[[], Credentials] | None = None
    scramIterations: int = credentials.SCRAM_ITERATIONS
    keys: SCRAMKeys | None = None
    exercise: str = "mail"

    @property
    def startsTLS(self) -> bool:
        """
        Is STARTTLS to be said?
        """
        return self.tls is not None and not self.implicitTLS

    @property
    def demands(self) -> tuple[str, ...]:
        """
        The keywords of all that the server must have. If there are any, a refused greeting is the end.
        """
        others = {"STARTTLS": self.startsTLS, "XCLIENT": self.xclient, "AUTH": self.mechanisms}
        return (*self.required, *(keyword for keyword, wanted in others.items() if wanted))


def dialogue(
    name: bytes,
    *,
    lmtp: bool = False,
    oldMode: bool = False,
    esmtp: bool = False,
    pipelining: str = "off",
    chunking: str = "off",
    required: tuple[str, ...] = (),
    **rest: Any,
) -> Dialogue:
    """
    The dialogue of a client of this name.

    @param name: what it says in HELO, EHLO or LHLO.
    @param oldMode: say no HELO or LHLO at all.
    @param esmtp: say EHLO; asking for anything that is announced there implies it.
    @param required: extensions, other than those of the modes C{"require"}.
    @param rest: as in L{Dialogue}.
    """
    modes = {"PIPELINING": pipelining, "CHUNKING": chunking}
    required += tuple(keyword for keyword, mode in modes.items() if mode == "require")
    made = Dialogue(
        greeting=None,
        lmtp=lmtp,
        pipelining=pipelining,
        chunking=chunking,
        required=required,
        **rest,
    )
    if oldMode:
        return made
    extended = lmtp or esmtp or bool(made.demands) or "auto" in modes.values()
    verb = b"LHLO " if lmtp else b"EHLO " if extended else b"HELO "
    fallback = b"HELO " + name + b"\r\n" if extended and not lmtp and not made.demands else None
    return replace(made, greeting=verb + name + b"\r\n", fallback=fallback, extended=extended)


#: How an extension of SMTP is used.
ExtensionMode = Literal["off", "auto", "require", "force"]


def _mode(text: str) -> str:
    if text not in get_args(ExtensionMode):
        raise ValueError("expected off, auto (where it is announced), require or force (even where it is not)")
    return text


extensionMode = names.Worded(get_args(ExtensionMode), _mode)
