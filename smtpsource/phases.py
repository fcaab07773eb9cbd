"""
The phases that are timed, in the order in which a connection goes through them: the words that the dialogue, the
recorder and the reports share.

A phase is an index into C{NAMES}, so that recording one costs a list index and nothing more.
"""

from __future__ import annotations

#: What each phase is called in reports. C{connect}: from connect(2) to an open connection. C{tls}: from the first byte
#: of a full TLS handshake to its end; C{tls-resumed}: the same for one that resumes a session. C{banner}: from an open
#: connection, or the end of an implicit TLS handshake, to the greeting. C{auth}: from AUTH, or from the answer to a
#: challenge, to the reply. C{bdat}: from a chunk's first byte to its reply, for chunks other than the last.
#: C{message}: from the content's first byte, or that of its last chunk, to the reply (LMTP: each recipient's).
#: C{transaction}: from MAIL written to the final reply. C{response}: from the time at which the schedule wanted the
#: message to start to the final reply. C{late}: from that time to the start, for those that started late. C{delivery}:
#: from the final reply to the arrival where the server delivers to, by the ledgers of both ends. C{arrival}: to the
#: same from the time at which the schedule wanted the message to start. All others: from the command written to its
#: reply.
NAMES = (
    "connect",
    "tls",
    "tls-resumed",
    "banner",
    "helo",
    "starttls",
    "xclient",
    "auth",
    "noop",
    "mail",
    "rcpt",
    "data",
    "bdat",
    "message",
    "rset",
    "quit",
    "transaction",
    "response",
    "late",
    "delivery",
    "arrival",
)
#: What those are that are not the reply to the command of their name.
MEANINGS = {
    "connect": "until the connection is open",
    "tls": "the TLS handshake",
    "tls-resumed": "one that resumes a session",
    "banner": "from there to the greeting",
    "bdat": "the reply to a chunk but the last",
    "message": "the reply to the content",
    "transaction": "from MAIL to that reply",
    "response": "from when it was due to that reply",
    "late": "from when it was due to its start",
    "delivery": "from the reply to the content to its arrival",
    "arrival": "from when it was due to its arrival",
}

(
    CONNECT,
    TLS,
    TLS_RESUMED,
    BANNER,
    HELO,
    STARTTLS,
    XCLIENT,
    AUTH,
    NOOP,
    MAIL,
    RCPT,
    DATA,
    BDAT,
    MESSAGE,
    RSET,
    QUIT,
    TRANSACTION,
    RESPONSE,
    LATE,
    DELIVERY,
    ARRIVAL,
) = range(len(NAMES))
