"""
A load generator and tester for SMTP and LMTP servers.

The names here are the public ones for those who embed it: a run is a C{SourceService} with a C{SourcePlan}, and comes
to a C{Summary}; a server for tests is a C{SinkService} with a C{SinkPlan}; C{reconcile} judges by the ledgers of both
what became of every message. The others are what these take and give.
L{smtpsource.testing} has more for those who test with it. docs/programs.rst has examples.
"""

from __future__ import annotations

from smtpsource._version import __version__

# A command begins by importing this: until it has seen to its signals, nothing is imported that takes a moment.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from smtpsource.credentials import Credentials
    from smtpsource.load.service import SourceService
    from smtpsource.measure.counters import AddressCounts
    from smtpsource.measure.histogram import Latency
    from smtpsource.measure.judgement import Judgement
    from smtpsource.measure.progress import Progress
    from smtpsource.measure.search import Found, Step
    from smtpsource.measure.summary import Messages, Summary, Tally
    from smtpsource.measure.thresholds import Outcome, Threshold
    from smtpsource.messages.corpus import Corpus
    from smtpsource.messages.recipients import Numbering
    from smtpsource.messages.sizes import Distribution
    from smtpsource.messages.weighted import Weighted
    from smtpsource.net.destination import Destination, HostDestination, SinkDestination, UNIXDestination
    from smtpsource.net.factory import SMTPSourceFactory
    from smtpsource.net.tls.settings import TLSMode, TLSSettings, TLSVersion
    from smtpsource.plan import SourcePlan
    from smtpsource.plan.connections import Addresses, Exercise
    from smtpsource.plan.load import Arrivals, StagesOf
    from smtpsource.plan.traffic import Pick
    from smtpsource.process.listening import ListenError
    from smtpsource.sink.plan import SinkPlan
    from smtpsource.sink.protocol import SMTPSinkProtocol
    from smtpsource.sink.service import SinkService
    from smtpsource.sink.summary import SinkSummary
    from smtpsource.smtp.commands import ExtensionMode
    from smtpsource.smtp.parameters import Parameters, Returned
    from smtpsource.smtp.protocol import SMTPSourceProtocol
    from smtpsource.smtp.proxyprotocol import ProxyVersion
    from smtpsource.tools.reconciling import reconcile

__all__ = [
    "AddressCounts",
    "Addresses",
    "Arrivals",
    "Corpus",
    "Credentials",
    "Destination",
    "Distribution",
    "Exercise",
    "ExtensionMode",
    "Found",
    "HostDestination",
    "Judgement",
    "Latency",
    "ListenError",
    "Messages",
    "Numbering",
    "Outcome",
    "Parameters",
    "Pick",
    "Progress",
    "ProxyVersion",
    "Returned",
    "SMTPSinkProtocol",
    "SMTPSourceFactory",
    "SMTPSourceProtocol",
    "SinkDestination",
    "SinkPlan",
    "SinkService",
    "SinkSummary",
    "SourcePlan",
    "SourceService",
    "StagesOf",
    "Step",
    "Summary",
    "TLSMode",
    "TLSSettings",
    "TLSVersion",
    "Tally",
    "Threshold",
    "UNIXDestination",
    "Weighted",
    "__version__",
    "reconcile",
]

_HOMES = {
    "AddressCounts": "smtpsource.measure.counters",
    "Addresses": "smtpsource.plan.connections",
    "Arrivals": "smtpsource.plan.load",
    "Corpus": "smtpsource.messages.corpus",
    "Credentials": "smtpsource.credentials",
    "Destination": "smtpsource.net.destination",
    "Distribution": "smtpsource.messages.sizes",
    "Exercise": "smtpsource.plan.connections",
    "ExtensionMode": "smtpsource.smtp.commands",
    "Found": "smtpsource.measure.search",
    "HostDestination": "smtpsource.net.destination",
    "Judgement": "smtpsource.measure.judgement",
    "Latency": "smtpsource.measure.histogram",
    "ListenError": "smtpsource.process.listening",
    "Messages": "smtpsource.measure.summary",
    "Numbering": "smtpsource.messages.recipients",
    "Outcome": "smtpsource.measure.thresholds",
    "Parameters": "smtpsource.smtp.parameters",
    "Pick": "smtpsource.plan.traffic",
    "Progress": "smtpsource.measure.progress",
    "ProxyVersion": "smtpsource.smtp.proxyprotocol",
    "Returned": "smtpsource.smtp.parameters",
    "SMTPSinkProtocol": "smtpsource.sink.protocol",
    "SMTPSourceFactory": "smtpsource.net.factory",
    "SMTPSourceProtocol": "smtpsource.smtp.protocol",
    "SinkDestination": "smtpsource.net.destination",
    "SinkPlan": "smtpsource.sink.plan",
    "SinkService": "smtpsource.sink.service",
    "SinkSummary": "smtpsource.sink.summary",
    "SourcePlan": "smtpsource.plan",
    "SourceService": "smtpsource.load.service",
    "StagesOf": "smtpsource.plan.load",
    "Step": "smtpsource.measure.search",
    "Summary": "smtpsource.measure.summary",
    "TLSMode": "smtpsource.net.tls.settings",
    "TLSSettings": "smtpsource.net.tls.settings",
    "TLSVersion": "smtpsource.net.tls.settings",
    "Tally": "smtpsource.measure.summary",
    "Threshold": "smtpsource.measure.thresholds",
    "UNIXDestination": "smtpsource.net.destination",
    "Weighted": "smtpsource.messages.weighted",
    "reconcile": "smtpsource.tools.reconciling",
}

# Type checkers would take any name for one that is there.
if not TYPE_CHECKING:

    def __getattr__(name):
        """
        Import what is asked for, and no more: a sink needs nothing of a source, and starts the faster for it.
        """
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """
    What there is, whether it was imported or not.
    """
    others = {"TYPE_CHECKING", "annotations"}
    return sorted(
        {*__all__, *(name for name in globals() if name not in others and (name[0] != "_" or name[:2] == "__"))}
    )
