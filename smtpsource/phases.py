"""
The phases that are timed, in the order in which a connection goes through them: the words that the dialogue, the
recorder and the reports share.

A phase is an index into C{NAMES}, so that recording one costs a list index and nothing more.
"""

from __future__ import annotations

CONNECT, BANNER, HELO, MAIL, RCPT, DATA, MESSAGE, RSET, QUIT, TRANSACTION = range(10)

#: What each phase is called in reports. C{connect}: from connect(2) to an open connection. C{banner}: from there to the
#: greeting. C{message}: from the content's first byte written to the reply to the final dot (LMTP: each recipient's).
#: C{transaction}: from MAIL written to the final reply. All others: from the command written to its reply.
NAMES = ("connect", "banner", "helo", "mail", "rcpt", "data", "message", "rset", "quit", "transaction")
