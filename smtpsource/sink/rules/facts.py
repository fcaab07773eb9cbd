"""
What is known of a session when a rule is asked, and what a rule decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: When rules are asked: a new connection; HELO, EHLO or LHLO; these commands; each piece of content; and the final
#: reply, when the whole message is there.
Step = Literal[
    "connect", "helo", "starttls", "auth", "mail", "rcpt", "data", "content", "message", "rset", "noop", "quit"
]

#: What becomes of a message other than what its reply says.
Deceit = Literal["accept-but-lose", "reject-but-keep", "duplicate", "corrupt"]


@dataclass(slots=True)
class Facts:
    """
    What is known of a session by now. Its session keeps one of these, and changes it as it goes on.

    @ivar client: the address of the client, without its port, as the connection, a PROXY header or XCLIENT has it;
        C{"local"} for a UNIX socket.
    @ivar server: the address that the client has connected to, where domains have rules of their own; else empty.
    @ivar helo: the name that the client has introduced itself by; empty before.
    @ivar tls: whether TLS has begun.
    @ivar user: who has logged in; empty if nobody has.
    @ivar sender: the path of MAIL without its brackets; empty is the null sender, and what there is before MAIL.
    @ivar recipient: of the RCPT that is asked about; at other steps the first one that was accepted, or empty.
    @ivar recipients: those that were accepted in this transaction.
    @ivar size: octets: of a SIZE parameter, until there is content; then of the content so far.
    @ivar message: what tells one message from another: at C{message} the Message-Id of its header or, without one, a
        digest of its content; before that the ENVID of MAIL (RFC 3461), or empty.
    @ivar session: the number of the session; 0 before it has one.
    """

    client: str
    helo: str = ""
    tls: bool = False
    user: str = ""
    sender: str = ""
    recipient: str = ""
    recipients: list[str] = field(default_factory=list)
    size: int = 0
    message: str = ""
    server: str = ""
    session: int = 0


@dataclass(frozen=True, slots=True)
class Fate:
    """
    What is to be done at one step, instead of or beside the usual. It may come from several rules.

    @ivar rules: the names of the rules that have a part in it, in their order.
    @ivar reply: the lines of the reply, each with its CRLF; C{None} is the usual one.
    @ivar delay: seconds until the reply is sent; nothing is read meanwhile.
    @ivar stutter: bytes a second in which the reply is sent; C{None} is at once.
    @ivar throttle: bytes a second that are read from this client from now on; C{None} is no change.
    @ivar split: every byte of the reply is sent by itself.
    @ivar garble: something is sent that is no reply.
    @ivar stall: nothing is said any more and what comes is thrown away, and the connection stays open.
    @ivar close: the connection is closed, after the reply if there is a C{reply}, else without one.
    @ivar reset: the connection is reset, likewise.
    @ivar tlsFail: at C{starttls} and C{connect}: what should be a handshake is none.
    @ivar deceit: see L{Deceit}; at C{message} only.
    """

    rules: tuple[str, ...]
    reply: bytes | None = None
    delay: float = 0.0
    stutter: float | None = None
    throttle: float | None = None
    split: bool = False
    garble: bool = False
    stall: bool = False
    close: bool = False
    reset: bool = False
    tlsFail: bool = False
    deceit: Deceit | None = None

    @property
    def isLast(self) -> bool:
        """
        Is nothing said any more after this?
        """
        return self.stall or self.close or self.reset

    @property
    def isSilent(self) -> bool:
        """
        Is there not even a reply?
        """
        return self.isLast and self.reply is None
