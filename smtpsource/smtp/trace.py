"""
Showing the dialogue while it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smtpsource.phases import AUTH, MESSAGE
from smtpsource.printable import printable
from smtpsource.smtp.connection import Answer
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

    def _writeProxyHeader(self, header: bytes) -> None:
        """
        A header of the PROXY protocol goes out; that of version 2 is binary.
        """
        isText = header.startswith(b"PROXY ")
        self.show(printable(header) if isText else repr(header)[2:-1])
        super()._writeProxyHeader(header)

    def write(self, data: bytes, phase: int, answer: Answer) -> None:
        """
        A command, or the content, goes out.
        """
        if self._chunked and data.startswith(b"BDAT "):
            self.show(printable(data.partition(b"\n")[0]))
        elif phase == AUTH:
            self.show(_withoutSecrets(data))
        else:
            self.show("." if phase == MESSAGE else printable(data))
        super().write(data, phase, answer)

    def writeGroup(self, parts: Sequence[bytes], content: bytes = b"") -> None:
        """
        A group of commands goes out.
        """
        if content:
            self.show(".")
        isChunk = False
        for part in parts:
            if part and part is not content and not isChunk:
                self.show(printable(part))
            isChunk = not isChunk and part is not content and part.startswith(b"BDAT ")
        super().writeGroup(parts, content)


def _withoutSecrets(data: bytes) -> str:
    """
    AUTH with its mechanism, or the answer to a challenge, which is all secret.
    """
    words = data.split()
    if words[:1] != [b"AUTH"]:
        return "***"
    return " ".join([printable(word) for word in words[:2]] + ["***"] * (len(words) > 2))
