"""
What this distribution adds to C{twistd}.

Twisted reads this file on every start of every program that looks for plugins: it imports nothing of ours,
and there is no C{__init__.py} beside it, ever.
"""

from twisted.application.reactors import Reactor

smtpsourceReactor = Reactor(
    "smtpsource",
    "smtpsource.net.reactor",
    "epoll(7) for many small messages: sends at once, and makes few calls for an event or a connection",
)
