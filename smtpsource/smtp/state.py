"""
What is known of the message that the next reply is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smtpsource.interfaces import IMessage
    from smtpsource.smtp.chunking import Buffer


class MessageState:
    """
    The state of one message's transaction. A connection has one, and L{begin} makes it the next message's: as replies
    come in order, no two messages are ever in the middle of their replies.

    @ivar message: the message; C{None} when it has its outcome.
    @ivar begun: when its MAIL was written.
    @ivar mailAccepted: in groups: was MAIL accepted?
    @ivar recipientsAccepted: so many RCPTs were accepted.
    @ivar recipientsRejected: so many recipients were refused, by a reply to RCPT or to the content.
    @ivar recipientsDelivered: in LMTP: for so many recipients the content was accepted.
    @ivar recipientsAwaited: in LMTP: so many replies to the content are still to come, once it is all sent.
    @ivar rcptsRefused: with the content in the group: so many RCPTs were refused, even if MAIL was as well.
    @ivar chunkRefused: with the content in the group: a chunk before the last one was refused.
    @ivar recipients: one by one: the RCPT commands.
    @ivar recipient: one by one: which of them is out.
    @ivar chunks: one by one: the chunks that are still to be sent.
    """

    __slots__ = (
        "begun",
        "chunkRefused",
        "chunks",
        "mailAccepted",
        "message",
        "rcptsRefused",
        "recipient",
        "recipients",
        "recipientsAccepted",
        "recipientsAwaited",
        "recipientsDelivered",
        "recipientsRejected",
    )

    recipient: int
    chunks: Iterator[tuple[bytes, bytes, Buffer, bool]]

    def __init__(self) -> None:
        self.message: IMessage | None = None
        self.recipients: tuple[bytes, ...] = ()

    def begin(self, message: IMessage | None, now: float) -> None:
        """
        From now on this is about that message. What has no value here gets one before it is looked at.
        """
        self.message = message
        self.begun = now
        self.mailAccepted = self.chunkRefused = False
        self.recipientsAccepted = self.recipientsRejected = self.recipientsDelivered = self.recipientsAwaited = 0
        self.rcptsRefused = 0
