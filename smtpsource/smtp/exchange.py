"""
One login, as the mechanisms of SASL have it (RFC 4422): what they all are, and what they have in common.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

from smtpsource.credentials import Credentials
from smtpsource.smtp.replies import shown
from smtpsource.values.saslprep import prepared

if TYPE_CHECKING:
    from smtpsource.smtp.scramkeys import Derivation, Keys


class Exchange:
    """
    One login, up to the server's verdict.

    @ivar initial: the initial response, raw; C{None} if the server has the first word.
    @ivar complete: all that the mechanism asks for was said, after the initial response. A 235 before that is none to
        trust: the server has not asked who we are, or has not shown that it knows the password (RFC 5802 section 5).
    @ivar heedsChallenges: do responses depend on what the challenges say?
    """

    initial: bytes | None = None
    complete = True
    heedsChallenges = True

    def respond(self, challenge: bytes) -> bytes | Derivation:
        """
        The response to a challenge; both raw. Or what has to be worked out first: see L{derived}.

        @raise ValueError: the challenge makes no sense here.
        """
        raise NotImplementedError

    def derived(self, keys: Keys) -> bytes:
        """
        The response, now that the keys are there that the last challenge has asked for.
        """
        raise NotImplementedError


def preparedUser(credentials: Credentials) -> bytes:
    """
    The name of a user, as L{smtpsource.values.saslprep.prepared} has it.
    """
    # A "query string" (RFC 3454 section 7) for RFC 5802 section 5.1: a server knows its users' names better than we do.
    return prepared("user", credentials.user, True)


def fromBase64(text: bytes) -> bytes:
    """
    @raise ValueError: it is none.
    """
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"expected base64 from the server, not {shown(text)}")
