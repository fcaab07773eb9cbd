"""
A load generator and tester for SMTP and LMTP servers.

The names here are the public ones for those who embed it; L{smtpsource.testing} has more for those who test with it.
"""

from __future__ import annotations

from smtpsource._version import __version__

# A command begins by importing this: until it has seen to its signals, nothing is imported that takes a moment.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smtpsource.load.service import SourceService
    from smtpsource.measure.summary import Summary
    from smtpsource.net.factory import SMTPSourceFactory
    from smtpsource.plan import SourcePlan
    from smtpsource.sink.plan import SinkPlan
    from smtpsource.sink.protocol import SMTPSinkProtocol
    from smtpsource.sink.service import SinkService
    from smtpsource.sink.summary import SinkSummary
    from smtpsource.smtp.protocol import SMTPSourceProtocol

__all__ = [
    "SMTPSinkProtocol",
    "SMTPSourceFactory",
    "SMTPSourceProtocol",
    "SinkPlan",
    "SinkService",
    "SinkSummary",
    "SourcePlan",
    "SourceService",
    "Summary",
    "__version__",
]

_HOMES = {
    "SMTPSinkProtocol": "smtpsource.sink.protocol",
    "SMTPSourceFactory": "smtpsource.net.factory",
    "SMTPSourceProtocol": "smtpsource.smtp.protocol",
    "SinkPlan": "smtpsource.sink.plan",
    "SinkService": "smtpsource.sink.service",
    "SinkSummary": "smtpsource.sink.summary",
    "SourcePlan": "smtpsource.plan",
    "SourceService": "smtpsource.load.service",
    "Summary": "smtpsource.measure.summary",
}


def __getattr__(name: str) -> Any:
    """
    Import what is asked for, and no more: a sink needs nothing of a source, and starts the faster for it.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
