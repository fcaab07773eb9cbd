"""
The users of Locust, who do nothing: they show which workers have a part in a run.
"""

from __future__ import annotations

from gevent.event import Event
from locust import User, task


class SMTPSource(User):
    """
    One on each worker. What is sent is said by the options of smtpsource; users and their spawn rate are none of it.
    """

    @task
    def _hold(self) -> None:
        Event().wait()
