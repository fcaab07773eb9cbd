"""
What twistd, twist and trial learn of us. It imports nothing of ours: every run of theirs reads this file.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

smtpSource = ServiceMaker(
    "smtp-source",
    "smtpsource.tap",
    "An SMTP and LMTP load generator that measures what comes back.",
    "smtp-source",
)
smtpSink = ServiceMaker(
    "smtp-sink",
    "smtpsource.sink.tap",
    "An SMTP and LMTP server that takes everything and counts it.",
    "smtp-sink",
)
smtpSourceReactor = Reactor(
    "smtpsource", "smtpsource.net.reactor", "epoll(7) with eager writes, for many small messages."
)
