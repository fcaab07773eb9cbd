"""
Showing the dialogue while it goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from smtpsource.phases import MESSAGE
from smtpsource.printable import printable
from smtpsource.smtp.owed import Answer
from smtpsource.smtp.protocol import SMTPSourceProtocol


class TracedProtocol(SMTPSourceProtocol):
    """
    A client that shows each command and each line of each reply, like C{smtp-source -v}; of content, the final dot.

    @ivar show: called with each line.
    """

    show: Callable[[str], None]

    def replyReceived(self, reply: bytes, code: bytes) -> None:
        """
        A reply came.
        """
        for line in reply.splitlines():
            self.show(f"<<< {printable(line)}")
        super().replyReceived(reply, code)

    def repliesReceived(self, data: bytes) -> bytes:
        """
        Several replies came: each is shown by L{replyReceived}, on the long way.
        """
        return data

    def write(self, data: bytes, phase: int, answer: Answer) -> None:
        """
        A command, or the content, goes out.
        """
        self.show("." if phase == MESSAGE else printable(data))
        super().write(data, phase, answer)

    def writeGroup(self, content: bytes, group: bytes) -> None:
        """
        A group of commands goes out.
        """
        if content:
            self.show(".")
        for line in group.splitlines():
            self.show(printable(line))
        super().writeGroup(content, group)
