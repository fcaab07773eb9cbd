"""
What the dialogue of a connection asks of others, by their names: for type checkers alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from smtpsource.smtp.scramkeys import Derivation, Keys


class StreamingProtocol(Protocol):
    """
    Whose content is streamed: L{smtpsource.smtp.owed.OwedReplies}.

    @ivar transport: takes a producer.
    """

    transport: Any

    def bodyWritten(self, size: int) -> None:
        """
        The transport took C{size} more bytes of the content.
        """

    def bodyDone(self) -> None:
        """
        All of the content is written.
        """

    def bodyLost(self, text: str) -> None:
        """
        The rest of the content can't be had, for the reason that the text says.
        """


class SCRAMKeys(Protocol):
    """
    Who works out the keys of SCRAM beside the reactor: L{smtpsource.load.derivedkeys.DerivedKeys}.
    """

    def ask(self, wanted: Derivation, answer: Callable[[Keys | BaseException], None], /) -> None:
        """
        Call C{answer} with these keys, or with what kept us from having them: now or later, once, unless that is
        withdrawn.
        """

    def withdraw(self, wanted: Derivation, answer: Callable[[Keys | BaseException], None], /) -> None:
        """
        Don't call it any more.
        """
