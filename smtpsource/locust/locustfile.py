"""
For Locust: C{locust -f} this file, which is what C{smtpsource locust} does.
"""

from typing import Any

from locust import events
from locust.runners import MasterRunner, WorkerRunner

from smtpsource.locust import options
from smtpsource.locust.figures import keepExact
from smtpsource.locust.users import SMTPSource

__all__ = ["SMTPSource"]

keepExact()


def _begin(environment: Any, runner: Any, **others: Any) -> None:
    if isinstance(runner, MasterRunner):
        from smtpsource.locust.master import Master

        Master(environment)
    elif isinstance(runner, WorkerRunner):
        from smtpsource.locust.worker import Worker

        Worker(environment)
    else:
        raise SystemExit(
            "smtpsource: expected --master, --worker or --processes N: for one machine there is smtpsource --workers N"
        )


events.init_command_line_parser.add_listener(options.declare)
events.init.add_listener(_begin)
