"""
C{smtpsource completion}: see L{smtpsource.cli.completion}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from smtpsource.cli import completion
from smtpsource.cli.commandline import OTHER, CommandLine
from smtpsource.cli.source import SourceOptions
from smtpsource.sink.options import SinkOptions
from smtpsource.tools.calibrate import CalibrateOptions
from smtpsource.tools.compare import CompareOptions
from smtpsource.tools.html import HtmlOptions
from smtpsource.tools.merge import MergeOptions
from smtpsource.tools.reconcile import ReconcileOptions
from smtpsource.tools.recover import RecoverOptions
from smtpsource.tools.watch import WatchOptions


class LocustOptions(CommandLine):
    """
    Those of Locust that it shares with us: all others are its own.
    """

    name = "smtpsource locust"
    groups = (OTHER,)


def main(arguments: Sequence[str]) -> NoReturn:
    """
    Run one command line and exit.

    @param arguments: what comes after C{completion}.
    @raise SystemExit: always.
    """
    completion.main(
        arguments,
        "smtpsource",
        SourceOptions,
        {
            "compare": ("show two reports side by side", CompareOptions),
            "html": ("make a page of reports", HtmlOptions),
            "merge": ("add up reports", MergeOptions),
            "recover": ("make the report of a run that was cut off", RecoverOptions),
            "reconcile": ("say what became of every message", ReconcileOptions),
            "watch": ("show a run that goes on elsewhere", WatchOptions),
            "calibrate": ("measure what this machine can generate", CalibrateOptions),
            "locust": ("load from many machines, by Locust", LocustOptions),
            "sink": ("take messages, as smtpsink does", SinkOptions),
        },
        ("help", "version"),
    )
