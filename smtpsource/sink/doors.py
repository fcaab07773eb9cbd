"""
All that a sink is reached by: its ports, the name server of its world, its control.
"""

from __future__ import annotations

import encodings
import pkgutil
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import smtpsource.net
import smtpsource.report
import smtpsource.sink
import smtpsource.web
from smtpsource.process.listening import ListenError, joined
from smtpsource.sink.factory import SinkFactory
from smtpsource.sink.listen import described, listen
from smtpsource.sink.plan import SinkPlan

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.sink.control.server import ControlServer
    from smtpsource.sink.dns.server import NameServer
    from smtpsource.sink.dns.world import World
    from smtpsource.sink.steering import Steering


#: What modules of ours import when there is something to do: rules are read and carried out with them, and told of if
#: they are wrong; headers of messages are read.
_LATER = ("difflib", "email.parser", "email.policy", "statistics", "tomllib")


class Doors:
    """
    They are opened once, all or none, and closed.

    @ivar addresses: where the ports listen.
    @ivar nameServer: answers for the world, if there is one; it has counts of its own.
    @ivar control: lets others steer the sink, if anybody may.
    @ivar pathsOf: gives all that can be asked there; C{None} is what can be asked of a sink that is this process.
    """

    def __init__(self, reactor: Any, plan: SinkPlan, factory: SinkFactory) -> None:
        """
        @param reactor: provides what L{listen} needs.
        """
        self._reactor = reactor
        self._plan = plan
        self._factory = factory
        self.addresses: list[Any] = []
        self.nameServer: NameServer | None = None
        self.control: ControlServer | None = None
        self.pathsOf: Callable[..., Any] | None = None

    def open(self) -> None:
        """
        Listen.

        @raise ListenError: it is not possible; then nothing is open.
        @raise ValueError: the control is not usable; likewise.
        """
        self._factory.ports = listen(self._reactor, self._plan, self._factory)
        try:
            if self._factory.world is not None:
                self._answerFor(self._factory.world)
            if self._plan.control is not None:
                self._beControlled(self._plan.control)
        except (ListenError, ValueError):
            self.close()
            self._factory.ports = []
            raise
        self.addresses = [port.getHost() for port in self._factory.ports]

    def _answerFor(self, world: World) -> None:
        from smtpsource.sink.dns.server import listenDNS  # for those who have a world

        host, port = cast("tuple[str, int]", self._plan.dns)
        self.nameServer = listenDNS(self._reactor, host, port, world)

    def _beControlled(self, where: str) -> None:
        from smtpsource.sink.control.server import ControlServer  # twisted.web takes a while

        steering = cast("Steering", self._factory.steering)
        control = ControlServer(
            self._reactor, steering, where, self._plan.controlTokenFile, *([self.pathsOf] if self.pathsOf else [])
        )
        control.listen()
        self.control = control

    def prepare(self) -> None:
        """
        Have ready what will not be found any more in another root directory: modules, the certificate, the time zone.
        """
        from smtpsource.process.later import importTwisted

        for package in (smtpsource.net, smtpsource.report, smtpsource.sink, smtpsource.web):
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
                if not module.name.endswith("__main__"):
                    import_module(module.name)
        for name in _LATER:
            import_module(name)
        _importCodecs()
        importTwisted(withTLS=True)
        self._factory.tls.prepare()
        time.tzset()

    def told(self) -> list[str]:
        """
        All of them, as a client would be told: C{inet:127.0.0.1:2525}, C{unix:/path}; of those of a world, where they
        can be asked for: C{dns:127.0.0.1:5353}; and where there is control: C{control:127.0.0.1:8025}.
        """
        found = [described(address) for address in self.addresses]
        if self.nameServer is not None:
            named = cast("World", self._factory.world).addresses()
            others = [address for address in self.addresses if address.host not in named]
            asked = self.nameServer.address
            found = [*map(described, others or self.addresses[:1]), f"dns:{joined(asked.host, asked.port)}"]
        return found if self.control is None else [*found, f"control:{self.control.address}"]

    def close(self) -> list[Deferred[Any]]:
        """
        Let nobody in any more. The control stays: see L{closeControl}.

        @return: which fire when that is done.
        """
        closed = [] if self.nameServer is None else [self.nameServer.close()]
        for port in self._factory.ports:
            one = port.stopListening()
            if one is not None:
                # Such as a UNIX socket's file that is no longer there: it is closed all the same.
                one.addErrback(lambda failure: None)
                closed.append(one)
        return closed

    def closeControl(self) -> list[Deferred[Any]]:
        """
        Let nobody ask any more.

        @return: which fire when that is done.
        """
        return [] if self.control is None else [self.control.close()]


def _importCodecs() -> None:
    """
    Have all character sets that a header may be in.
    """
    for module in pkgutil.iter_modules(encodings.__path__, "encodings."):
        # Those of other systems are there as well.
        with suppress(ImportError):
            import_module(module.name)
