"""
For Locust: C{locust -f} this file, which is what C{smtpsource locust} does.
"""

import sys
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


def _declare(parser: Any, **others: Any) -> None:
    options.declare(parser)
    parse = parser.parse_args

    def parsed(*arguments: Any, **settings: Any) -> Any:
        """
        As parsed by Locust, which would start its web interface before it asks us.
        """
        given = parse(*arguments, **settings)
        if not (given.master or given.worker or given.processes or given.list_commands):
            print(
                "smtpsource: expected --master, --worker or --processes N: for one machine there is smtpsource "
                "--workers N",
                file=sys.stderr,
            )
            raise SystemExit(2)
        return given

    parser.parse_args = parsed


events.init_command_line_parser.add_listener(_declare)
events.init.add_listener(_begin)
