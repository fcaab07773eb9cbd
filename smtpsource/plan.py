"""
The plan of a run: everything that is decided before the first connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from sys import maxsize
from typing import TYPE_CHECKING, Any

from smtpsource import arguments, checks
from smtpsource.credentials import Credentials, Logins
from smtpsource.interfaces import IContentSource, IPacer
from smtpsource.net.destination import (
    Destination,
    HostDestination,
    SinkDestination,
    UNIXDestination,
    isAddress,
    parse,
)
from smtpsource.net.tlssettings import TLSSettings
from smtpsource.smtp import proxyprotocol, xclient
from smtpsource.smtp.commands import Dialogue, dialogue
from smtpsource.smtp.parameters import Parameters
from smtpsource.smtp.xclient import Attributes
from smtpsource.traffic import envelopes
from smtpsource.traffic.envelopes import Recipients, Traffic
from smtpsource.traffic.messages import DEFAULT_BODY, FileContent, GeneratedContent, bodyOfSize
from smtpsource.traffic.pacing import FixedPacer, RandomPacer
from smtpsource.traffic.schedule import ARRIVALS, Profile, Schedule

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from smtpsource.net.tls import ClientTLS


def machineName() -> str:
    """
    This machine's name, as it says it.

    @raise ValueError: it is not one that may be said in HELO.
    """
    return arguments.hostname(socket.gethostname())


def _destination(value: object) -> Destination | str:
    if not isinstance(value, Destination | str):
        raise ValueError("expected a text such as 127.0.0.1:2525, or a Destination")
    return value


def _instance(kind: type) -> checks.Check:
    def isInstance(value: object) -> object:
        if not isinstance(value, kind):
            raise ValueError(f"expected an instance of {kind.__name__}")
        return value

    return isInstance


def _tupleOf(convert: checks.Check) -> checks.Check:
    def tupleOf(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise ValueError("expected a sequence")
        return tuple(convert(one) for one in value)

    return tupleOf


def _credentials(value: object) -> Credentials:
    if not isinstance(value, Credentials):
        raise ValueError("expected an instance of Credentials")
    if not isinstance(value.user, str) or not isinstance(value.password, str):
        raise ValueError("expected Credentials of two texts")
    return value


_PARAMETER_CHECKS: dict[str, checks.Check] = {
    **dict.fromkeys(("eightBitMIME", "smtpUTF8", "size", "requireTLS"), checks.flag),
    "notify": checks.optional(checks.text(arguments.notify)),
    "ret": checks.optional(checks.text(arguments.ret)),
    "envid": checks.optional(checks.text(arguments.envelopeId)),
    "mtPriority": checks.optional(checks.wholeNumber(-9, 9)),
    "deliverBy": checks.optional(checks.text(arguments.deliverBy)),
}


def _parameters(value: object) -> Parameters:
    if not isinstance(value, Parameters):
        raise ValueError("expected an instance of Parameters")
    checked = replace(value)
    checks.check(checked, _PARAMETER_CHECKS)
    return checked


def _helo(value: object) -> bytes:
    name = checks.oneLine(value)
    if not name:
        raise ValueError("expected a text, not an empty one")
    return name


def _xclient(value: object) -> Attributes:
    """
    A text, or what was made of one.
    """
    if isinstance(value, tuple):
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
            raise ValueError("expected pairs of an attribute and its value")
        value = " ".join(f"{name}={text}" for name, text in value)
    if not isinstance(value, str):
        raise ValueError("expected a str")
    return xclient.parse(value) if value else ()


def _dnsServer(value: object) -> tuple[str, int]:
    if isinstance(value, tuple) and len(value) == 2:
        value = "[{}]:{}".format(*value)
    if not isinstance(value, str):
        raise ValueError("expected a str")
    return arguments.dnsServer(value)


def _message(value: object) -> bytes:
    message = checks.encoded(value)
    if not message:
        raise ValueError("expected a message, headers and all, not an empty one")
    return message


def _stages(value: object) -> tuple[tuple[float, float], ...]:
    """
    Points, or nothing.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(one, list | tuple) and len(one) == 2 for one in value):
        raise ValueError("expected pairs of the seconds from the stage before, and the value")
    points = tuple((checks.secondsOrZero(seconds), checks.rateOrZero(value)) for seconds, value in value)
    if points and (points[0][0] or not any(seconds for seconds, _ in points) or not any(value for _, value in points)):
        raise ValueError("expected the first stage to be at 0 seconds, some to take time, and some to have a value")
    return points


_CHECKS: dict[str, checks.Check] = {
    "destination": _destination,
    "family": checks.family,
    "myhostname": checks.hostname,
    "sender": checks.optional(checks.oneLine),
    "recipient": checks.optional(checks.oneLine),
    "recipientCount": checks.optional(checks.count),
    "numberRecipients": checks.flag,
    "recipientNumbering": arguments.numbering,
    "messageCount": checks.optional(checks.count),
    "sessionCount": checks.count,
    "keepConnections": checks.flag,
    "lmtp": checks.flag,
    "oldMode": checks.flag,
    "tolerant": checks.flag,
    "subject": checks.optional(checks.oneLine),
    "length": checks.optional(checks.count),
    "message": checks.optional(_message),
    "fixedInterval": checks.optional(checks.seconds),
    "randomInterval": checks.optional(checks.seconds),
    "duration": checks.optional(checks.seconds),
    "warmUp": checks.secondsOrZero,
    "rampUp": checks.secondsOrZero,
    "rate": checks.optional(checks.rate),
    "arrivals": checks.text(arguments.oneOf(*ARRIVALS)),
    "stages": _stages,
    "stagesOf": checks.text(arguments.oneOf("rate", "sessions")),
    "maxLate": checks.optional(checks.secondsOrZero),
    "connectAttempts": checks.count,
    "connectParallelism": checks.count,
    "connectTimeout": checks.seconds,
    "timeout": checks.seconds,
    "grace": checks.secondsOrZero,
    "windowSize": checks.optional(checks.count),
    "esmtp": checks.flag,
    "pipelining": checks.text(arguments.extensionMode),
    "chunking": checks.text(arguments.extensionMode),
    "chunkSize": checks.optional(checks.count),
    "window": checks.count,
    "parameters": _parameters,
    "tls": checks.text(arguments.tlsMode),
    "tlsSettings": _instance(TLSSettings),
    "mechanisms": _tupleOf(checks.text(arguments.mechanism)),
    "logins": _tupleOf(_credentials),
    "xclient": _xclient,
    "proxyProtocol": checks.optional(checks.text(arguments.proxyProtocol)),
    "proxySources": _tupleOf(checks.text(arguments.ipAddress)),
    "bind": _tupleOf(checks.text(arguments.ipAddress)),
    "mx": checks.flag,
    "dnsServer": checks.optional(_dnsServer),
    "helo": checks.optional(_helo),
    "messagesPerConnection": checks.optional(checks.count),
    "exercise": checks.text(arguments.oneOf("mail", "noop", "connect")),
    "hold": checks.secondsOrZero,
    "trace": checks.wholeNumber(0),
    "command": checks.command,
}


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """
    What to send, how much of it, where to and how. The defaults are those of smtp-source(1) and of this tool's
    command line.

    Every value is checked. Addresses, the subject and the message may be texts: they become bytes, in UTF-8.

    A harness makes one with the keywords it needs::

        SourcePlan(destination="127.0.0.1:2525", messageCount=1000, sessionCount=20, keepConnections=True)

    @ivar destination: where to; a text is taken as on the command line.
    @ivar family: C{socket.AF_INET} or C{socket.AF_INET6} to want only such addresses of a name.
    @ivar myhostname: our name in HELO and LHLO, in default addresses and in Message-Ids.
    @ivar sender: the envelope's and the From header's, without brackets; C{None} is C{foo@myhostname}.
    @ivar recipient: the envelope's and the To header's, without brackets; C{None} is C{foo@myhostname}.
    @ivar recipientCount: recipients of each message; C{None} is one.
    @ivar numberRecipients: every recipient of the run gets its own number.
    @ivar recipientNumbering: C{"prefix"}, as before Postfix 3.9, or C{"suffix"}, as since.
    @ivar messageCount: messages of the run, over all sessions; C{None} for one or, where something else ends the run,
        for no limit.
    @ivar sessionCount: sessions in parallel; in an open loop, the most that there may be.
    @ivar keepConnections: use a session's connection for all of its messages.
    @ivar lmtp: speak LMTP.
    @ivar oldMode: no HELO or LHLO, and no headers in generated messages.
    @ivar tolerant: count refusals and faults, and go on; otherwise the first ends the run.
    @ivar subject: of generated messages.
    @ivar length: bytes of a generated body, or C{None} for a short one.
    @ivar message: a whole message to send instead of generated ones, as it would be in a file.
    @ivar fixedInterval: seconds between a session's messages.
    @ivar randomInterval: the most seconds between a session's messages, drawn evenly from 0.
    @ivar duration: seconds after which no further message is started, the warm-up not included; C{None} for no such
        limit.
    @ivar warmUp: seconds at the beginning of the run of which nothing is measured.
    @ivar rampUp: seconds over which the sessions join evenly.
    @ivar rate: messages per second to start, whatever the server does (an open loop); C{None} for a closed loop, where
        a session starts a message when the one before it has ended.
    @ivar arrivals: of an open loop: C{"constant"}, evenly, or C{"poisson"}, independently of each other.
    @ivar stages: how the load changes: for each point the seconds from the one before, and the value there, linear in
        between; empty for no change. Its end is the run's.
    @ivar stagesOf: what C{stages} are of: C{"rate"}, messages per second, or C{"sessions"}.
    @ivar maxLate: seconds after which a message of an open loop that could not be started is dropped; C{None}: never.
    @ivar connectAttempts: how often a connection is attempted before its message has failed.
    @ivar connectParallelism: the most connections in the making at once.
    @ivar connectTimeout: seconds for an address to answer.
    @ivar timeout: seconds for each reply.
    @ivar grace: seconds that messages on their way have to end once the run is told to stop.
    @ivar windowSize: bytes for each of a socket's buffers, or C{None} for the system's choice.
    @ivar esmtp: say EHLO instead of HELO; HELO again where that is refused.
    @ivar pipelining: send MAIL, every RCPT and DATA in one write, and with C{keepConnections} the next message's along
        with a content: C{"off"}; C{"auto"}, where the server announces it; C{"require"}, it is a fault if the server
        does not; C{"force"}, whatever it announces. C{"auto"} and C{"require"} imply C{esmtp}.
    @ivar chunking: send content by BDAT (RFC 3030); the modes are those of C{pipelining}. With both, MAIL, every RCPT
        and BDAT with the content go out in one write.
    @ivar chunkSize: bytes of each chunk but the last, or C{None} for one chunk.
    @ivar window: with C{pipelining} and C{chunking}, how many transactions of a connection may be without their final
        reply; needs C{keepConnections} or C{messagesPerConnection} to have an effect.
    @ivar parameters: of MAIL and RCPT; a server that does not announce their extensions is a fault.
    @ivar tls: C{"off"}; C{"starttls"} (RFC 3207); C{"implicit"}, from the first byte (RFC 8314 section 3).
    @ivar tlsSettings: how TLS is done.
    @ivar mechanisms: log in by AUTH (RFC 4954), with the first of these that the server announces; empty for no login.
    @ivar logins: who to log in as, in turn.
    @ivar xclient: attributes for Postfix's XCLIENT, as a text such as C{"NAME=client.example ADDR=192.0.2.1"}.
    @ivar proxyProtocol: C{"v1"} or C{"v2"} to begin each connection with a header of HAProxy's PROXY protocol.
    @ivar proxySources: source addresses for that header, in turn; empty for generated ones.
    @ivar bind: local addresses to connect from, in turn; empty for the system's choice.
    @ivar mx: the destination is a domain whose mail exchangers are wanted (RFC 5321 section 5.1).
    @ivar dnsServer: C{(address, port)} of the name server for C{mx}, as a text C{"address[:port]"}; C{None} for the
        system's.
    @ivar helo: what to say in HELO, EHLO and LHLO, or C{None} for C{myhostname}.
    @ivar messagesPerConnection: use each connection for so many messages; C{None}: for one, or for all with
        C{keepConnections}.
    @ivar exercise: C{"mail"}; C{"noop"}, a NOOP in place of each message; C{"connect"}, nothing in place of it: what
        is counted are connections, with their greeting, TLS and login.
    @ivar hold: seconds for which a connection is kept open before its QUIT.
    @ivar trace: show the dialogue: 0 not at all, 1 commands and replies.
    @ivar command: the command line, for the report.
    @raise ValueError: the values contradict each other or one can't be used; the text says which, and what was
        expected.
    """

    destination: Destination | str = field(default_factory=SinkDestination)
    family: int = socket.AF_UNSPEC
    myhostname: str = field(default_factory=lambda: socket.gethostname())
    sender: bytes | str | None = None
    recipient: bytes | str | None = None
    recipientCount: int | None = None
    numberRecipients: bool = False
    recipientNumbering: str = "prefix"
    messageCount: int | None = None
    sessionCount: int = 1
    keepConnections: bool = False
    lmtp: bool = False
    oldMode: bool = False
    tolerant: bool = False
    subject: bytes | str | None = None
    length: int | None = None
    message: bytes | str | None = None
    fixedInterval: float | None = None
    randomInterval: float | None = None
    duration: float | None = None
    warmUp: float = 0.0
    rampUp: float = 0.0
    rate: float | None = None
    arrivals: str = "constant"
    stages: tuple[tuple[float, float], ...] = ()
    stagesOf: str = "rate"
    maxLate: float | None = None
    connectAttempts: int = 1
    connectParallelism: int = 100
    connectTimeout: float = 30.0
    timeout: float = 300.0
    grace: float = 5.0
    windowSize: int | None = None
    esmtp: bool = False
    pipelining: str = "off"
    chunking: str = "off"
    chunkSize: int | None = None
    window: int = 1
    parameters: Parameters = field(default_factory=Parameters)
    tls: str = "off"
    tlsSettings: TLSSettings = field(default_factory=TLSSettings)
    mechanisms: tuple[str, ...] = ()
    logins: tuple[Credentials, ...] = ()
    xclient: tuple[tuple[str, str], ...] | str = ()
    proxyProtocol: str | None = None
    proxySources: tuple[str, ...] = ()
    bind: tuple[str, ...] = ()
    mx: bool = False
    dnsServer: tuple[str, int] | str | None = None
    helo: bytes | str | None = None
    messagesPerConnection: int | None = None
    exercise: str = "mail"
    hold: float = 0.0
    trace: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.check(self, _CHECKS)
        if isinstance(self.destination, str):
            checks.check(self, {"destination": lambda text: parse(text, self.family)})
        if self.length is not None and self.message is not None:
            raise ValueError("length and message exclude each other: a given message has the length it has")
        if self.fixedInterval is not None and self.randomInterval is not None:
            raise ValueError("fixedInterval and randomInterval exclude each other")
        problem = next((problem for applies, problem in self._contradictions() if applies), None)
        if problem is not None:
            raise ValueError(problem)
        if self.logins:
            self._tryLogins()

    def _tryLogins(self) -> None:
        """
        Not every mechanism can carry every user and password.
        """
        from smtpsource.smtp.sasl import exchange  # for those who need it

        for login in self.logins:
            for mechanism in self.mechanisms:
                try:
                    exchange(mechanism, login)
                except ValueError as e:
                    raise ValueError(f"{mechanism} can't be used for the user {login.user!a}: {e}")

    @property
    def openLoop(self) -> bool:
        """
        Do messages start when a schedule says so, and not when the ones before them have ended?
        """
        return self.rate is not None or (bool(self.stages) and self.stagesOf == "rate")

    @property
    def messageLimit(self) -> int:
        """
        The most messages there will be.
        """
        if self.messageCount is not None:
            return self.messageCount
        return maxsize if self.duration is not None or self.stages else 1

    def schedule(self) -> Schedule:
        """
        When messages are to start, for an open loop.
        """
        if self.rate is None:
            profile = Profile(self.stages)
        else:
            profile = Profile(((0.0, self.rate),), inf if self.duration is None else self.warmUp + self.duration)
        return Schedule(profile, self.arrivals, Random())

    def _contradictions(self) -> Iterator[tuple[object, str]]:
        paused = self.fixedInterval is not None or self.randomInterval is not None
        yield self.rate is not None and self.stages, "rate and stages exclude each other: stages say the rate"
        yield (
            self.rate is not None and self.duration is None and self.messageCount is None,
            "rate needs an end: expected duration or messageCount along with it",
        )
        yield self.stages and self.duration is not None, "stages and duration exclude each other: stages have an end"
        yield self.stagesOf == "sessions" and not self.stages, "stagesOf needs stages"
        yield self.openLoop and paused, "an open loop has no pauses: expected no fixedInterval and no randomInterval"
        yield (
            self.rampUp and (self.openLoop or self.stages),
            "rampUp is for a fixed number of sessions: expected neither rate nor stages",
        )
        yield self.maxLate is not None and not self.openLoop, "maxLate needs rate, or stages of rate"
        yield self.arrivals != "constant" and not self.openLoop, "arrivals need rate, or stages of rate"
        length = sum(seconds for seconds, _ in self.stages)
        yield (
            self.stages and self.warmUp >= length,
            f"the stages end after {length:g} seconds: expected a warmUp that is shorter",
        )
        greeted = self.esmtp or self.parameters.extensions() or self.tls == "starttls" or self.mechanisms
        modes = (self.pipelining, self.chunking)
        yield (
            self.oldMode and (greeted or self.xclient or "auto" in modes or "require" in modes),
            "oldMode says no EHLO: with it, expected nothing that is announced there, and pipelining and chunking to "
            "be off or force",
        )
        yield self.chunkSize and self.chunking == "off", "chunkSize needs chunking"
        yield self.window > 1 and "off" in modes, "a window of more than 1 needs pipelining and chunking"
        yield bool(self.mechanisms) != bool(self.logins), "mechanisms and logins need each other"
        yield self.proxySources and self.proxyProtocol is None, "proxySources needs proxyProtocol"
        yield (
            self.bind and isinstance(self.destination, UNIXDestination),
            "bind and a UNIX socket as the destination exclude each other",
        )
        isHost = isinstance(self.destination, HostDestination) and not isAddress(self.destination.host)
        yield self.mx and not isHost, "mx needs a domain as the destination"
        yield self.dnsServer and not self.mx, "dnsServer needs mx"
        yield (
            self.exercise == "connect" and (self.keepConnections or self.messagesPerConnection is not None),
            "exercise 'connect' counts connections: expected neither keepConnections nor messagesPerConnection",
        )

    def clientTLS(self) -> ClientTLS | None:
        """
        The TLS of a run, or C{None} for none. Reads the files that C{tlsSettings} names.

        @raise ValueError: it can't be had; the text says why.
        """
        if self.tls == "off":
            return None
        from smtpsource.net.tls import ClientTLS  # pyOpenSSL takes a while, and may not be there

        host = self.destination.host if isinstance(self.destination, HostDestination) else None
        return ClientTLS(self.tlsSettings, host)

    def dialogue(self) -> Dialogue:
        """
        How each connection talks.

        @raise ValueError: there can't be TLS; see L{clientTLS}.
        """
        assert not isinstance(self.helo, str) and not isinstance(self.xclient, str)
        tls = self.clientTLS()
        return dialogue(
            self.myhostname.encode("ascii") if self.helo is None else self.helo,
            lmtp=self.lmtp,
            oldMode=self.oldMode,
            tolerant=self.tolerant,
            esmtp=self.esmtp,
            required=self.parameters.extensions(),
            pipelining=self.pipelining,
            chunking=self.chunking,
            chunkSize=self.chunkSize,
            window=self.window,
            proxyHeader=self._proxyHeader(),
            tls=None if tls is None else tls.connection,
            implicitTLS=self.tls == "implicit",
            xclient=self.xclient,
            mechanisms=self.mechanisms,
            login=Logins(self.logins).next if self.logins else None,
            exercise=self.exercise,
        )

    def _proxyHeader(self) -> Callable[[IAddress], bytes] | None:
        if self.proxyProtocol is None:
            return None
        version, sources = self.proxyProtocol, proxyprotocol.Sources(self.proxySources)

        def proxyHeader(peer: Any) -> bytes:
            host = getattr(peer, "host", None)
            destination = None if host is None else (host, peer.port)
            return proxyprotocol.header(version, sources.next(destination), destination)

        return proxyHeader

    def traffic(self) -> Traffic:
        """
        A new stream of this plan's messages.
        """
        assert not isinstance(self.sender, str) and not isinstance(self.recipient, str)
        default = b"foo@" + self.myhostname.encode("ascii")
        sender = default if self.sender is None else self.sender
        recipient = default if self.recipient is None else self.recipient
        contents = self._contents(sender)
        # SIZE says the longest that any message gets: it may be an estimate, but not less (RFC 1870 section 5).
        longest = contents.octets(arguments.LARGEST, recipient + b"%d" % arguments.LARGEST)
        ofMail = self.parameters.ofMail(sum(map(len, longest)))
        return Traffic(sender, self._recipients(recipient), contents, ofMail)

    def _recipients(self, recipient: bytes) -> Recipients:
        perMessage = self.recipientCount or 1
        ofRcpt = self.parameters.ofRcpt()
        if self.recipientNumbering == "suffix":
            if self.numberRecipients or self.recipientCount is not None:
                return envelopes.numberedAfter(recipient, perMessage, ofRcpt)
        elif self.numberRecipients:
            return envelopes.numberedBefore(recipient, perMessage, ofRcpt)
        elif perMessage > 1:
            return envelopes.countedDown(recipient, perMessage, ofRcpt)
        return envelopes.sameRecipient(recipient, ofRcpt)

    def _contents(self, sender: bytes) -> IContentSource:
        assert not isinstance(self.message, str) and not isinstance(self.subject, str)
        if self.message is not None:
            return FileContent(self.message)
        return GeneratedContent(
            sender,
            self.myhostname.encode("ascii"),
            DEFAULT_BODY if self.length is None else bodyOfSize(self.length),
            subject=self.subject,
            headers=not self.oldMode,
        )

    def pacer(self) -> IPacer | None:
        """
        When a session's next message starts; C{None} is at once.
        """
        if self.randomInterval is not None:
            return RandomPacer(self.randomInterval)
        if self.fixedInterval is not None:
            return FixedPacer(self.fixedInterval)
        return None
