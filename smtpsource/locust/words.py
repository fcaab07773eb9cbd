"""
What our sides of Locust's master and workers say to each other, in messages of Locust's of one type.

Each has C{run}, a word that no other run has: what is of a run that is over is not heard. And one of these:
"""

from __future__ import annotations

#: The type of the messages.
TYPE = "smtpsource"

#: From the master: a run begins; the version of smtpsource there.
BEGIN = "begin"
#: From the master: there is no such run, or without you: end what you have of it.
END = "end"
#: Both ways: a message between the coordinator and C{smtpsource worker}.
SAID = "said"
#: From a worker: what time is it? By its own clock. In an answer, along with L{THEIRS}, the master's.
ASKED, THEIRS = "asked", "theirs"
