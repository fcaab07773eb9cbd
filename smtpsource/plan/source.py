"""
The plan of a run: everything that is decided before the first connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf
from random import Random
from sys import maxsize
from typing import TYPE_CHECKING, Any

from smtpsource import credentials
from smtpsource.credentials import Credentials, Logins
from smtpsource.interfaces import IPacer
from smtpsource.load import traffic
from smtpsource.measure.thresholds import Threshold
from smtpsource.measure.thresholds import parse as parseThreshold
from smtpsource.messages import addresses, corpus, headers, recipients, seeds, sizes
from smtpsource.messages.corpus import Corpus
from smtpsource.messages.message import Traffic
from smtpsource.messages.sizes import Distribution
from smtpsource.messages.stored import PICKS
from smtpsource.messages.varied import VariedTraffic
from smtpsource.messages.weighted import Weighted
from smtpsource.net.destination import (
    Destination,
    HostDestination,
    SinkDestination,
    UNIXDestination,
    isAddress,
    parse,
    said,
    shown,
)
from smtpsource.net.tls import settings
from smtpsource.net.tls.settings import TLSSettings
from smtpsource.pacing.pauses import FixedPacer, RandomPacer
from smtpsource.pacing.schedule import ARRIVALS, Profile
from smtpsource.smtp import commands, parameters, proxyprotocol, xclient
from smtpsource.smtp.commands import Dialogue, dialogue
from smtpsource.smtp.parameters import Parameters
from smtpsource.smtp.xclient import Attributes
from smtpsource.values import checks, names, numbers

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from smtpsource.net.tls.client import ClientTLS


#: The least seconds in which an open loop may catch up, where the plan says nothing else.
CATCH_UP = 5.0


def machineName() -> str:
    """
    This machine's name, as it says it.

    @raise ValueError: it is not one that may be said in HELO.
    """
    return names.hostname(socket.gethostname())


def _destination(value: object) -> Destination | str:
    if not isinstance(value, Destination | str):
        raise ValueError("expected a text such as 127.0.0.1:2525, or a Destination")
    return value


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
    "notify": checks.optional(checks.text(parameters.notify)),
    "ret": checks.optional(checks.text(parameters.ret)),
    "envid": checks.optional(checks.text(parameters.envelopeId)),
    "mtPriority": checks.optional(checks.wholeNumber(-9, 9)),
    "deliverBy": checks.optional(checks.text(parameters.deliverBy)),
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
    A text, or pairs of an attribute and its value.
    """
    if isinstance(value, list | tuple):
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
            raise ValueError("expected pairs of an attribute and its value")
        return xclient.checked(value) if value else ()
    if not isinstance(value, str):
        raise ValueError("expected a str")
    return xclient.parse(value) if value else ()


def _dnsServer(value: object) -> tuple[str, int]:
    if isinstance(value, tuple) and len(value) == 2:
        value = "[{}]:{}".format(*value)
    if not isinstance(value, str):
        raise ValueError("expected a str")
    return names.dnsServer(value)


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


def _threshold(value: object) -> Threshold:
    """
    A text, or what was made of one.
    """
    if isinstance(value, str):
        return parseThreshold(value)
    if not isinstance(value, Threshold):
        raise ValueError("expected texts such as 'errors == 0'")
    return value


_CHECKS: dict[str, checks.Check] = {
    "destination": _destination,
    "family": checks.family,
    "myhostname": checks.hostname,
    "sender": checks.optional(checks.oneLine),
    "recipient": checks.optional(checks.oneLine),
    "recipientCount": checks.optional(checks.count),
    "numberRecipients": checks.flag,
    "recipientNumbering": recipients.numbering,
    "messageCount": checks.optional(checks.count),
    "sessionCount": checks.count,
    "keepConnections": checks.flag,
    "lmtp": checks.flag,
    "oldMode": checks.flag,
    "tolerant": checks.flag,
    "subject": checks.optional(checks.oneLine),
    "length": checks.optional(checks.count),
    "message": checks.optional(_message),
    "headers": headers.given,
    "numberStart": checks.optional(checks.wholeNumber(0)),
    "numberWidth": checks.optional(checks.wholeNumber(1, recipients.WIDEST)),
    "messages": checks.optional(corpus.given),
    "pick": checks.text(names.oneOf(*PICKS)),
    "sizeDistribution": checks.optional(sizes.given(numbers.size)),
    "recipientsDistribution": checks.optional(sizes.given(numbers.count)),
    "senders": checks.optional(addresses.givenSenders),
    "recipients": checks.optional(addresses.givenRecipients),
    "domains": checks.optional(addresses.givenDomains),
    "seed": checks.optional(checks.wholeNumber(0)),
    "fixedInterval": checks.optional(checks.seconds),
    "randomInterval": checks.optional(checks.seconds),
    "duration": checks.optional(checks.seconds),
    "warmUp": checks.secondsOrZero,
    "rampUp": checks.secondsOrZero,
    "rate": checks.optional(checks.rate),
    "arrivals": checks.text(names.oneOf(*ARRIVALS)),
    "stages": _stages,
    "stagesOf": checks.text(names.oneOf("rate", "sessions")),
    "maxLate": checks.optional(checks.secondsOrZero),
    "catchUp": checks.optional(checks.secondsOrZero),
    "findRate": checks.optional(_threshold),
    "holdStep": checks.seconds,
    "connectAttempts": checks.count,
    "connectParallelism": checks.count,
    "connectTimeout": checks.seconds,
    "timeout": checks.seconds,
    "grace": checks.secondsOrZero,
    "windowSize": checks.optional(checks.count),
    "esmtp": checks.flag,
    "pipelining": checks.text(commands.extensionMode),
    "chunking": checks.text(commands.extensionMode),
    "chunkSize": checks.optional(checks.count),
    "window": checks.count,
    "parameters": _parameters,
    "tls": checks.text(settings.tlsMode),
    "tlsSettings": settings.given,
    "mechanisms": _tupleOf(checks.text(credentials.mechanism)),
    "logins": _tupleOf(_credentials),
    "scramIterations": checks.count,
    "xclient": _xclient,
    "proxyProtocol": checks.optional(checks.text(proxyprotocol.proxyProtocol)),
    "proxySources": _tupleOf(checks.text(names.ipAddress)),
    "bind": _tupleOf(checks.text(names.ipAddress)),
    "mx": checks.flag,
    "dnsServer": checks.optional(_dnsServer),
    "helo": checks.optional(_helo),
    "messagesPerConnection": checks.optional(checks.count),
    "exercise": checks.text(names.oneOf("mail", "noop", "connect")),
    "hold": checks.secondsOrZero,
    "thresholds": _tupleOf(_threshold),
    "abortOnThreshold": checks.flag,
    "trace": checks.wholeNumber(0),
    "command": checks.command,
}


#: What only mail has, with its defaults.
_OF_MAIL: dict[str, object] = {
    **dict.fromkeys(("sender", "recipient", "recipientCount", "subject", "length", "message", "messages")),
    **dict.fromkeys(("sizeDistribution", "recipientsDistribution", "senders", "recipients", "domains")),
    "numberRecipients": False,
    "recipientNumbering": "prefix",
    "headers": (),
    "pipelining": "off",
    "chunking": "off",
    "parameters": Parameters(),
    "window": 1,
}


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """
    What to send, how much of it, where to and how. The defaults are those of smtp-source(1) and of this tool's
    command line.

    Every value is checked. Addresses, the subject and the message may be texts: they become bytes, in UTF-8.

    A harness makes one with the keywords it needs::

        SourcePlan(destination="127.0.0.1:2525", messageCount=1000, sessionCount=20, keepConnections=True)

    @ivar destination: where to; a text is taken as on the command line, so that one with a scheme such as C{lmtp:} says
        C{lmtp}, and one with C{smtps:} C{tls}, too.
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
    @ivar headers: more headers, as on the command line: each a name, a colon and a value.
    @ivar numberStart: the first number of a recipient; C{None} is 1 for a prefix, 0 for a suffix.
    @ivar numberWidth: numbers have at least so many digits.
    @ivar messages: messages to send instead of generated ones: the path of a directory of .eml files, a Maildir or an
        mbox file.
    @ivar pick: which of them is next: C{"in-turn"}, C{"random"} or C{"weighted"}.
    @ivar sizeDistribution: of the sizes of generated bodies; a text is taken as on the command line.
    @ivar recipientsDistribution: of the numbers of recipients that messages have; likewise.
    @ivar senders: envelope and header senders: addresses, in turn, or pairs of an address and its weight, at random.
    @ivar recipients: envelope and header recipients, likewise.
    @ivar domains: what is put in place of the domains of recipients: a text as on the command line, or pairs of a name
        and its weight.
    @ivar seed: all that is random about the traffic comes from it, Message-Ids too; C{None}: one is drawn, and
        Message-Ids are random whatever it is.
    @ivar seedInUse: C{seed}, or the one that was drawn.
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
    @ivar catchUp: seconds after the end of an open loop's schedule in which what is overdue is still started; the rest
        is dropped. C{None}: a fifth of C{duration} or of the C{stages}, at least L{CATCH_UP}; with a
        C{messageCount} alone, until all are started.
    @ivar findRate: look for the highest rate at which this threshold holds, a text as on the command line; refusals and
        faults don't end such a run. C{rate} is the first one that is tried.
    @ivar holdStep: seconds for which each rate is tried.
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
        reply; needs C{keepConnections} or C{messagesPerConnection}, and no pauses.
    @ivar parameters: of MAIL and RCPT; a server that does not announce their extensions is a fault.
    @ivar tls: C{"off"}; C{"starttls"} (RFC 3207); C{"implicit"}, from the first byte (RFC 8314 section 3).
    @ivar tlsSettings: how TLS is done.
    @ivar mechanisms: log in by AUTH (RFC 4954), with the first of these that the server announces; empty for no login.
    @ivar logins: who to log in as, in turn.
    @ivar scramIterations: the most iterations that a server may ask for in SCRAM; more are a fault.
    @ivar xclient: attributes for Postfix's XCLIENT, as a text such as C{"NAME=client.example ADDR=192.0.2.1"}, or as
        pairs of an attribute and its value, which may have anything in it then.
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
        is counted are connections, with their greeting, TLS and login. With these two, nothing may be said that only
        mail has.
    @ivar hold: seconds for which a connection is kept open before its QUIT.
    @ivar thresholds: what must be so of what is measured; texts are taken as on the command line.
    @ivar abortOnThreshold: end the run when a threshold fails while it goes on.
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
    headers: tuple[bytes, ...] | tuple[str, ...] = ()
    numberStart: int | None = None
    numberWidth: int | None = None
    messages: Corpus | str | None = None
    pick: str = "in-turn"
    sizeDistribution: Distribution | str | None = None
    recipientsDistribution: Distribution | str | None = None
    senders: Weighted[bytes] | tuple[Any, ...] | None = None
    recipients: Weighted[bytes] | tuple[Any, ...] | None = None
    domains: Weighted[bytes] | tuple[Any, ...] | str | None = None
    seed: int | None = None
    seedInUse: int = field(init=False, compare=False, repr=False)
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
    catchUp: float | None = None
    findRate: Threshold | str | None = None
    holdStep: float = 10.0
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
    scramIterations: int = credentials.SCRAM_ITERATIONS
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
    thresholds: tuple[Threshold, ...] | tuple[str, ...] = ()
    abortOnThreshold: bool = False
    trace: int = 0
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.check(self, _CHECKS)
        object.__setattr__(self, "seedInUse", seeds.drawn() if self.seed is None else self.seed)
        if isinstance(self.destination, str):
            self._takeDestination(self.destination)
        if self.length is not None and self.message is not None:
            raise ValueError("length and message exclude each other: a given message has the length it has")
        if self.fixedInterval is not None and self.randomInterval is not None:
            raise ValueError("fixedInterval and randomInterval exclude each other")
        contradictions = chain(self._contradictions(), self._trafficContradictions())
        problem = next((problem for applies, problem in contradictions if applies), None)
        if problem is not None:
            raise ValueError(problem)
        if isinstance(self.messages, Corpus) and self.pick == "weighted":
            weights = self.messages.weights
            checks.check(self, {"pick": lambda pick: weights() and pick})
        if self.findRate is not None:
            object.__setattr__(self, "tolerant", True)  # rates that are too high are part of the search
        if self.logins:
            self._tryLogins()

    def _takeDestination(self, text: str) -> None:
        """
        A destination as on the command line: what it says of the protocol is as if other values said it.
        """
        try:
            goal, saying = parse(text, self.family), said(text)
        except ValueError as e:
            raise ValueError(f"destination:{shown(text)} is not usable: {e}")
        for name, value in saying.items():
            if getattr(self, name) not in (type(self).__dataclass_fields__[name].default, value):
                raise ValueError(f"destination and {name} exclude each other: {text!r} is for {name}={value!r}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "destination", goal)

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
        return self.rate is not None or self.findRate is not None or (bool(self.stages) and self.stagesOf == "rate")

    @property
    def messageLimit(self) -> int:
        """
        The most messages there will be.
        """
        if self.messageCount is not None:
            return self.messageCount
        return maxsize if self.duration is not None or self.stages or self.findRate is not None else 1

    @property
    def catchUpTime(self) -> float:
        """
        For how many seconds after the end of its schedule an open loop may start messages; infinite for no limit.
        """
        if self.catchUp is not None:
            return self.catchUp
        length = sum(seconds for seconds, _ in self.stages) or self.duration
        return inf if length is None else max(CATCH_UP, length / 5)

    def profile(self) -> Profile:
        """
        How the rate of an open loop changes, in messages per second.
        """
        if self.stages:
            return Profile(self.stages)
        return Profile(((0.0, self.rate or 0.0),), inf if self.duration is None else self.warmUp + self.duration)

    def _contradictions(self) -> Iterator[tuple[object, str]]:
        paused = self.fixedInterval is not None or self.randomInterval is not None
        yield self.rate is not None and self.stages, "rate and stages exclude each other: stages say the rate"
        yield (
            self.rate is not None and not (self.duration or self.messageCount or self.findRate),
            "rate needs an end: expected duration or messageCount along with it",
        )
        yield self.stages and self.duration is not None, "stages and duration exclude each other: stages have an end"
        yield self.stagesOf == "sessions" and not self.stages, "stagesOf needs stages"
        yield self.openLoop and paused, "an open loop has no pauses: expected no fixedInterval and no randomInterval"
        yield (
            self.rampUp and (self.openLoop or self.stages),
            "rampUp is for a fixed number of sessions: expected neither rate nor stages",
        )
        yield (
            self.duration is not None and self.rampUp >= self.warmUp + self.duration,
            "rampUp lasts until the end of the run: expected it to be shorter than warmUp and duration",
        )
        yield (
            self.findRate is not None and (self.stages or self.duration or self.messageCount or self.warmUp),
            "findRate has steps of its own: expected neither stages nor duration, messageCount or warmUp",
        )
        yield (
            self.findRate is not None and self.catchUp is not None,
            "findRate drops what is overdue at the end of a step: expected no catchUp",
        )
        yield self.maxLate is not None and not self.openLoop, "maxLate needs rate, or stages of rate"
        yield self.catchUp is not None and not self.openLoop, "catchUp needs rate, or stages of rate"
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
        yield self.oldMode and self.helo is not None, "helo has no effect with oldMode, which says none"
        yield self.lmtp and self.esmtp, "esmtp has no effect with lmtp: LHLO asks for extensions, too"
        yield self.chunkSize and self.chunking == "off", "chunkSize needs chunking"
        yield self.window > 1 and "off" in modes, "a window of more than 1 needs pipelining and chunking"
        yield (
            self.window > 1 and (self.messagesPerConnection or (2 if self.keepConnections else 1)) < 2,
            "a window of more than 1 needs connections for several messages: expected keepConnections, or "
            "messagesPerConnection to be more than 1",
        )
        yield (
            self.window > 1 and paused,
            "a window of more than 1 has no effect with pauses: expected no fixedInterval and no randomInterval",
        )
        unasked = [t for t in self.thresholds if isinstance(t, Threshold) and t.needsSchedule and not self.openLoop]
        yield unasked, f"the threshold {unasked[0].text!r} needs rate, or stages of rate" if unasked else ""
        yield self.abortOnThreshold and not self.thresholds, "abortOnThreshold needs thresholds"
        yield (
            self.tls == "off" and self.tlsSettings != TLSSettings(),
            "tlsSettings needs tls: expected tls to be 'starttls' or 'implicit'",
        )
        contradiction = self.tlsSettings.contradiction(isinstance(self.destination, HostDestination))
        yield contradiction, f"tlsSettings: {contradiction}"
        yield bool(self.mechanisms) != bool(self.logins), "mechanisms and logins need each other"
        yield (
            self.scramIterations != credentials.SCRAM_ITERATIONS and "SCRAM-SHA-256" not in self.mechanisms,
            "scramIterations needs SCRAM-SHA-256 among the mechanisms",
        )
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
        ofMail = [name for name, default in _OF_MAIL.items() if getattr(self, name) != default]
        yield (
            self.exercise != "mail" and ofMail,
            f"exercise {self.exercise!r} sends no mail: expected no {''.join(ofMail[:1])}",
        )

    def _trafficContradictions(self) -> Iterator[tuple[object, str]]:
        for rivals in (
            ("length", "message", "messages", "sizeDistribution"),
            ("recipientCount", "recipientsDistribution"),
            ("sender", "senders"),
            ("recipient", "recipients"),
            ("messages", "subject"),
        ):
            given = [name for name in rivals if getattr(self, name) is not None]
            yield len(given) > 1, f"{' and '.join(given)} exclude each other: expected one of them"
        yield self.pick != "in-turn" and self.messages is None, "pick needs messages"
        yield (
            self.headers and (self.message is not None or self.oldMode),
            "headers are for generated messages, and for those of messages: expected neither message nor oldMode",
        )
        named = [headers.name(line) for line in self.headers if isinstance(line, bytes)]
        yield self.subject is not None and "subject" in named, "subject and a header Subject exclude each other"
        # With recipients, who comes from there is numbered only if that is asked for.
        several = self.recipientCount is not None or self.recipientsDistribution is not None
        numbered = self.numberRecipients or (several and self.recipients is None)
        yield (
            (self.numberStart is not None or self.numberWidth is not None) and not numbered,
            "numberStart and numberWidth need recipients with numbers: expected numberRecipients along with it",
        )
        yield self.domains is not None and self.recipient == b"", "domains needs a recipient that is not empty"

    def clientTLS(self) -> ClientTLS | None:
        """
        The TLS of a run, or C{None} for none. Reads the files that C{tlsSettings} names.

        @raise ValueError: it can't be had; the text says why.
        """
        if self.tls == "off":
            return None
        from smtpsource.net.tls.client import ClientTLS  # pyOpenSSL takes a while, and may not be there

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
            scramIterations=self.scramIterations,
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

    def generator(self, purpose: str) -> Random:
        """
        Random numbers for one purpose: the same ones for the same seed.
        """
        return seeds.generator(self.seedInUse, purpose)

    def traffic(self) -> Traffic | VariedTraffic:
        """
        A new stream of this plan's messages.
        """
        return traffic.traffic(self)

    def pacer(self) -> IPacer | None:
        """
        When a session's next message starts; C{None} is at once.
        """
        if self.randomInterval is not None:
            return RandomPacer(self.randomInterval, self.generator("pauses"))
        if self.fixedInterval is not None:
            return FixedPacer(self.fixedInterval)
        return None
