"""
What a run is made of, from its plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

from smtpsource.credentials import Logins
from smtpsource.interfaces import IPacer
from smtpsource.messages import seeds
from smtpsource.net.route import Route
from smtpsource.net.sources import Sources
from smtpsource.pacing.pauses import FixedPacer, RandomPacer
from smtpsource.pacing.share import WHOLE, Share
from smtpsource.plan import SourcePlan
from smtpsource.smtp import proxyprotocol
from smtpsource.smtp.commands import Dialogue
from smtpsource.smtp.commands import dialogue as newDialogue

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from smtpsource.net.destination import Address
    from smtpsource.net.tls.client import ClientTLS
    from smtpsource.pacing.schedule import Profile, Schedule
    from smtpsource.pacing.share import Share


def clientTLS(plan: SourcePlan) -> ClientTLS | None:
    """
    The TLS of a run, or C{None} for none. Reads the files that C{tlsSettings} names.

    @raise ValueError: it can't be had; the text says why.
    """
    if plan.tls == "off":
        return None
    # Of our transports. At the first handshake there may be no more files to be had, or not for this user.
    import smtpsource.net.lean.tls  # noqa: F401
    from smtpsource.net.tls.client import ClientTLS  # pyOpenSSL takes a while, and may not be there

    return ClientTLS(plan.tlsSettings, plan.host)


def dialogue(plan: SourcePlan, share: Share = WHOLE) -> Dialogue:
    """
    How each connection talks.

    @param share: of the turns of logins, and of clients that a proxy has.
    @raise ValueError: there can't be TLS; see L{clientTLS}.
    """
    assert not isinstance(plan.helo, str) and not isinstance(plan.xclient, str)
    tls = clientTLS(plan)
    return newDialogue(
        plan.myhostname.encode("ascii") if plan.helo is None else plan.helo,
        lmtp=plan.lmtp,
        oldMode=plan.oldMode,
        tolerant=plan.tolerant,
        esmtp=plan.esmtp,
        required=plan.parameters.extensions(),
        pipelining=plan.pipelining,
        chunking=plan.chunking,
        chunkSize=plan.chunkSize,
        window=plan.window,
        proxyHeader=_proxyHeader(plan, share),
        tls=None if tls is None else tls.connection,
        implicitTLS=plan.tls == "implicit",
        xclient=plan.xclient,
        mechanisms=plan.mechanisms,
        login=Logins(plan.logins, share.index, share.count).next if plan.logins else None,
        scramIterations=plan.scramIterations,
        exercise=plan.exercise,
    )


def _proxyHeader(plan: SourcePlan, share: Share) -> Callable[[IAddress], bytes] | None:
    if plan.proxyProtocol is None:
        return None
    version, sources = plan.proxyProtocol, proxyprotocol.Sources(plan.proxySources, share.index, share.count)

    def proxyHeader(peer: Any) -> bytes:
        host = getattr(peer, "host", None)
        destination = None if host is None else (host, peer.port)
        return proxyprotocol.header(version, sources.next(destination), destination)

    return proxyHeader


def sources(plan: SourcePlan, share: Share = WHOLE) -> Sources | None:
    """
    The addresses to connect from; C{None} for the system's choice.

    @param share: of their turns.
    """
    return Sources(plan.bind, share.index, share.count) if plan.bind else None


def route(plan: SourcePlan, addresses: Sequence[Address], share: Share = WHOLE) -> Route:
    """
    Which address to connect to. Where the load is spread, the first connections of all shares together are as even as
    those of one process; from then on each takes all addresses in turn.
    """
    before = sum(Share(index, share.count).of(plan.sessionCount) for index in range(share.index))
    return Route(addresses, plan.addresses == "all", before)


def generator(plan: SourcePlan, purpose: str, share: Share = WHOLE) -> Random:
    """
    Random numbers for one purpose: the same ones for the same seed.

    @param share: each has numbers of its own.
    """
    if share.count > 1:
        purpose = f"{purpose} {share.index} of {share.count}"
    return seeds.generator(plan.seedInUse, purpose)


def pacer(plan: SourcePlan, share: Share = WHOLE) -> IPacer | None:
    """
    When a session's next message starts; C{None} is at once.
    """
    if plan.randomInterval is not None:
        return RandomPacer(plan.randomInterval, generator(plan, "pauses", share))
    if plan.fixedInterval is not None:
        return FixedPacer(plan.fixedInterval)
    return None


def profile(plan: SourcePlan) -> Profile:
    """
    How the rate of an open loop changes, in messages per second.
    """
    from smtpsource.pacing.schedule import Profile

    if plan.stages:
        return Profile(plan.stages)
    return Profile(((0.0, plan.rate or 0.0),), inf if plan.duration is None else plan.warmUp + plan.duration)


def arrivalsOf(plan: SourcePlan, share: Share) -> Schedule:
    """
    When the messages of a share of an open loop are wanted.
    """
    from smtpsource.pacing.schedule import Schedule

    return Schedule(profile(plan), plan.arrivals, generator(plan, "arrivals", share), share)
