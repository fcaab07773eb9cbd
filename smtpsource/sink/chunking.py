"""
BDAT: content in chunks whose sizes are told before (RFC 3030). What is in them is counted and skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smtpsource.sink.interfaces import Session

_BAD = b"501 5.5.4 Syntax: BDAT size [LAST], closing connection\r\n"
_NEED_RCPT = b"503 5.5.1 BDAT needs RCPT first\r\n"

_isBDAT = re.compile(rb"BDAT ([0-9]{1,19})( LAST)? *", re.IGNORECASE).fullmatch


def command_BDAT(session: Session, line: bytes) -> bytes:
    """
    RFC 3030 section 2.

    @return: the reply to a chunk without octets. Another one has its reply when they are there, whether or not it is
        refused: the client has sent them.
    """
    match = _isBDAT(line)
    if match is None:
        # Nobody knows where the next command begins.
        session.end()
        return session.refuse("syntax", _BAD, line)
    refusal = None
    if not session.recipients:
        # Nothing more comes of this transaction (section 4.1): what follows needs MAIL or RSET first.
        refusal = session.refuse("sequence", _NEED_RCPT, line)
        session.inTransaction = False
    return session.beginChunk(int(match[1]), match[2] is not None, refusal)
