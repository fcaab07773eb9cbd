"""
The interfaces of smtpsource: what can be put in place of what.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import (
    IReactorCore,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUNIX,
)
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from types import ModuleType


class IReactor(IReactorCore, IReactorTCP, IReactorUNIX, IReactorTime, IReactorThreads, Interface):
    """
    What a run asks of a reactor. Any of Twisted's does, on a system that has UNIX sockets.
    """


class RunsLater(Protocol):
    """
    What type checkers know of a reactor without a plugin for zope.interface.
    """

    def callLater(self, *args: Any, **kwargs: Any) -> Any:
        """
        See C{IReactorTime}.
        """


if TYPE_CHECKING:
    #: What a program may give for a reactor: C{twisted.internet.reactor} is a module to type checkers.
    AnyReactor = ModuleType | RunsLater | IReactorCore | IReactorTCP | IReactorUNIX | IReactorThreads


class IMessage(Interface):
    """
    One message on its way: the envelope and the content of one mail transaction.
    """

    mail = Attribute("The MAIL command, as bytes with its line end.")

    def recipientCommands() -> tuple[bytes, ...]:
        """
        The RCPT commands, at least one, each with its line end. Asked for once, when MAIL goes out: numbers for
        recipients are drawn now.
        """

    def content() -> tuple[bytes, bytes]:
        """
        The content, asked for when the server has answered 354, and sent then: dot-stuffed, every line ended by CRLF,
        up to and with the final dot.

        @return: what is this message's own, and what it shares with others: the two are sent one after the other.
            A message that is small enough to be written at once has it all in the first.
        """

    def bdatContent() -> tuple[bytes, bytes | memoryview]:
        """
        The same for BDAT (RFC 3030), in place of C{content}: not dot-stuffed, and without the final dot.
        """


class ITraffic(Interface):
    """
    Where the messages of a run come from.
    """

    def next() -> IMessage:
        """
        The next message. The run asks as often as it has messages to send.
        """


class IContentSource(Interface):
    """
    Where the content of messages comes from.
    """

    def content(number: int, recipient: bytes) -> tuple[bytes, bytes]:
        """
        The content of one message, as L{IMessage.content} gives it.

        @param number: the message's number in the run, from 1.
        @param recipient: the recipient named in the header, without brackets.
        """

    def bdatContent(number: int, recipient: bytes) -> tuple[bytes, bytes | memoryview]:
        """
        The same, as L{IMessage.bdatContent} gives it.
        """


class IPacer(Interface):
    """
    When a session starts its next message.
    """

    def pause() -> float:
        """
        How many seconds to wait between the end of one message and the start of the next; 0 for none.
        """


class ISession(Interface):
    """
    What a connection tells the session that it works for, in the order of events. A connection has one message at a
    time and, with pipelining, the C{following} ones; a message for which none of C{accepted}, C{rejected} and
    C{exercised} has come when C{disconnected} does has failed.
    """

    def ready(protocol: object) -> None:
        """
        The connection can take a message: answer by C{protocol.send(message)} or C{protocol.quit()}, now or later.
        """

    def following() -> IMessage | None:
        """
        With pipelining: a message whose commands go out before the final reply to this one, after those of all that
        this has given before; C{None} if there is none. Outcomes come in the same order.
        """

    def accepted(seconds: float, recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        The message was accepted, for some of its recipients at least.

        @param seconds: from MAIL written to the last reply.
        """

    def acceptedNext(protocol: object, seconds: float, recipientsAccepted: int) -> IMessage | None:
        """
        The same as C{accepted}, for all its recipients, and C{ready}, in one.

        @return: the message that is to be sent now; C{None}: the session has answered in its own way, or will.
        """

    def rejected(recipientsRejected: int) -> None:
        """
        The message was refused by a reply of the server; L{refused} has told which.
        """

    def exercised() -> None:
        """
        What stands for the message, where it is no mail, was done: a NOOP, or nothing but the connection.
        """

    def refused(phase: int, text: bytes, what: str = "") -> None:
        """
        A reply other than the one that was hoped for.

        @param phase: what it answers, from L{smtpsource.phases}.
        @param text: the whole reply.
        @param what: what was refused, as a sentence, where the phase says too little of it.
        """

    def recipientRefused(phase: int, recipient: int, code: bytes) -> None:
        """
        One recipient of the message was refused, whatever becomes of the others.

        @param phase: what the reply answers: RCPT or, in LMTP, the content.
        @param recipient: which one, from 0: of all, or of those whose RCPT was accepted.
        """

    def postponed(code: bytes) -> None:
        """
        The message is to be sent again, after all that are on their way: a server in the transaction before it has
        refused all of it with this code.
        """

    def contentLeaves() -> None:
        """
        The C{bdatContent} of messages, which was asked for, is sent now; so it may be that of several.
        """

    def unanswered(recipientsAccepted: int, recipientsRejected: int) -> None:
        """
        The message ends without an answer, and C{disconnected} comes next; but some recipients have had theirs, to RCPT
        or, in LMTP, to the content.
        """

    def fault(kind: str, text: str, quitting: bool = False, doubtful: int = 0) -> None:
        """
        Something went wrong on this connection that is more than a refusal; it is closed now.

        @param doubtful: so many of the messages of this connection that were told to be accepted may not be, or all if
            it has not so many: its replies were out of step. They have failed.
        @param quitting: it happened after QUIT, where nothing depends on it any more.
        @param kind: C{"connection-lost"}, C{"connection-reset"}, C{"timeout"}, C{"garbage-reply"},
            C{"unexpected-reply"}, C{"reply-too-long"}, C{"closed-while-idle"}, C{"not-announced"}, C{"tls-failed"},
            C{"certificate-refused"}, C{"plain-text-after-starttls"}, C{"bad-challenge"} or, if it is no fault of the
            server, C{"unreadable-message"}, C{"connect-failed"} (a PROXY header can't be made),
            C{"internal-error"} or C{"out-of-memory"}.
        """

    def disconnected(lost: bool) -> None:
        """
        The connection is gone. Nothing else comes from it.

        @param lost: it ended otherwise than after our QUIT.
        """


class IRun(Interface):
    """
    What a session asks of the run that it belongs to, and tells it.
    """

    # The plan and the recorder are classes of ours, which this module can't name: it is below all others.
    plan: Any = Attribute("The L{SourcePlan<smtpsource.plan.source.SourcePlan>} that the run follows.")
    recorder: Any = Attribute("The L{Recorder<smtpsource.measure.recorder.Recorder>} that counts what happens.")
    clock: Callable[[], float] = Attribute("Gives seconds, on a scale that never goes backward.")
    sources: Any = Attribute(
        "The L{Sources<smtpsource.net.sources.Sources>} of addresses to connect from; C{None} for the system's choice."
    )
    notes: Any = Attribute(
        "The L{Notes<smtpsource.ledger.notes.Notes>} of what leaves and what comes of it; C{None} without a ledger."
    )
    log: Any = Attribute(
        "The L{MessageLog<smtpsource.load.messagelog.MessageLog>} with a line for each message; C{None} without one."
    )
    pause: Callable[[], float] | None = Attribute(
        "Draws the seconds before a session's next message; C{None} if there is no pause at all."
    )
    remaining: int = Attribute("How many more messages there are for all sessions, as far as that is known.")
    perConnection: int = Attribute("How many messages a session may send on one connection.")
    draining: bool = Attribute("No further message is started, and no connection is held open.")
    endsInTime: bool = Attribute("The run has an end, however few messages are started.")
    reached: bool = Attribute("A connection was made, by any session; sessions set it.")
    seeking: set[Any] = Attribute(
        "The sessions that could not connect, and have no message until they try again or can; they enter themselves."
    )

    def take() -> IMessage | None:
        """
        The next message, which is started with that; C{None} if there is none, or none now.
        """

    def idle(session: Any) -> None:
        """
        There was no message for this session, though some are remaining: finish it, or let it wait.
        """

    def ended(session: Any) -> None:
        """
        This session is over.
        """

    def build(session: Any) -> Any:
        """
        The protocol of a session's new connection, an L{SMTPSourceProtocol
        <smtpsource.smtp.protocol.SMTPSourceProtocol>}. Whatever it raises makes the connection fail.
        """

    def trouble(text: str) -> None:
        """
        A refusal or a fault happened: it ends the run, unless the plan tolerates it.

        @param text: one line about it.
        """

    def refused(phase: int, reply: bytes) -> None:
        """
        Something was refused with one of the codes that may tell what is wrong with the plan: the user may be told.

        @param phase: what the reply answers.
        """

    def hint(text: str | None) -> None:
        """
        Something may be wrong with what was asked for; the user is told of it once.

        @param text: one line about it; C{None} if nothing is.
        """

    def broken(exception: BaseException) -> None:
        """
        Something in this process has raised what nobody expected: it ends the run.
        """

    def breakDown(kind: str, text: str) -> None:
        """
        This run can't go on, and it is no server's fault.

        @param kind: C{"internal-error"} or C{"out-of-memory"}.
        @param text: one line about it.
        """
