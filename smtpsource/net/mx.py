"""
Where a domain wants its mail: MX records (RFC 5321 section 5.1) and the addresses of the hosts they name.

twisted.names is imported when somebody asks: a run that knows its server does without.
"""

from __future__ import annotations

import ipaddress
import random
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, gatherResults

from smtpsource.net.destination import ResolutionFailed
from smtpsource.values.names import inASCII

#: How long to wait for the answer to a question, in seconds: this long at first, then it is asked again. When all name
#: servers were silent for the last time, that's it.
TIMEOUTS = (1.0, 3.0, 5.0)

#: What is asked for: labels of 1 to 63 octets (RFC 1035 section 2.3.4), and none that would spoil a text of one line.
_NAME = re.compile(rb"[!-\-/-~]{1,63}(\.[!-\-/-~]{1,63})*")

#: How many aliases in a row are followed.
_MOST_ALIASES = 8

#: How many name servers of resolv.conf are asked, as many as the C library does.
_MOST_SERVERS = 3


class Exchanger(NamedTuple):
    """
    An address of a mail server.

    @ivar name: the host's, as the MX record has it, or the domain's where there is none.
    @ivar preference: the MX record's: the lowest is preferred.
    """

    address: str
    name: str
    preference: int = 0


def lookUp(
    reactor: Any,
    domain: str,
    server: tuple[str, int] | None = None,
    family: int = socket.AF_UNSPEC,
    *,
    timeouts: Sequence[float] = TIMEOUTS,
    shuffle: Callable[[list[Any]], None] = random.shuffle,
    hosts: str = "/etc/hosts",
    resolvConf: str = "/etc/resolv.conf",
) -> Deferred[list[Exchanger]]:
    """
    The addresses of a domain's mail servers: of the most preferred one first, those of equal preference in random
    order. Of one host the IPv6 addresses come before the IPv4 ones, each in the order in which the name server gives
    them. A domain without MX records is its own mail server.

    Hosts whose addresses can't be found are left out, as long as there are others. The MX records are asked for first,
    then all addresses at once. Each of the two takes at most the sum of the timeouts for each name server, and twice
    the sum more if the answer is too long for a datagram; and all of that again for each alias.

    @param reactor: one that has UDP and TCP.
    @param server: the address and port of the one name server to ask. By default those of C{resolvConf} are asked, and
        C{hosts} is consulted for addresses first.
    @param family: C{socket.AF_INET}, C{socket.AF_INET6}, or C{socket.AF_UNSPEC} for addresses of both families.
    @param timeouts: in seconds, at least one.
    @param shuffle: reorders a list in place, for tests.
    @return: fires with at least one, and no address twice, or fails with L{ResolutionFailed}: the domain does not
        exist, takes no mail (RFC 7505), or has no address; or no name server has given an answer.
    """
    question = _Question(reactor, server, family, timeouts, hosts, resolvConf)
    return Deferred.fromCoroutine(_mailServers(question, domain, shuffle))


async def _mailServers(question: _Question, domain: str, shuffle: Callable[[list[Any]], None]) -> list[Exchanger]:
    from twisted.names import dns

    try:
        exchanges = [(record.preference, _name(record.name)) for record in await question.ask(domain, dns.MX)]
    except _NoSuchName:
        # A name of /etc/hosts need not be known to any name server.
        own = question.fromHosts(domain)
        if not own:
            raise
        return [Exchanger(address, domain) for address in own]
    if not exchanges:
        return [Exchanger(address, domain) for address in await question.addresses(domain)]
    targets = [exchange for exchange in exchanges if exchange[1]]
    if not targets:
        raise ResolutionFailed(f"{domain} takes no mail: its MX record is the null one")
    shuffle(targets)
    targets.sort(key=lambda exchange: exchange[0])
    preferences = {name: preference for preference, name in reversed(targets)}
    names = list(dict.fromkeys(name for _, name in targets))
    found: dict[str, str] = {}
    failures = []
    results = await gatherResults([Deferred.fromCoroutine(_orFailure(question, name)) for name in names])
    for name, result in zip(names, results, strict=True):
        if isinstance(result, ResolutionFailed):
            failures.append(result)
        else:
            for address in result:
                found.setdefault(address, name)
    if not found:
        raise ResolutionFailed(f"no mail server of {domain} has an address: {failures[0]}")
    return [Exchanger(address, name, preferences[name]) for address, name in found.items()]


async def _orFailure(question: _Question, host: str) -> list[str] | ResolutionFailed:
    try:
        return await question.addresses(host)
    except ResolutionFailed as e:
        return e


class _NoSuchName(ResolutionFailed):
    """
    A name server says that there is no such name (NXDOMAIN).
    """


class _Question:
    """
    What is asked of the name servers.
    """

    def __init__(
        self,
        reactor: Any,
        server: tuple[str, int] | None,
        family: int,
        timeouts: Sequence[float],
        hosts: str,
        resolvConf: str,
    ) -> None:
        from twisted.names import dns
        from twisted.names.client import Resolver

        # Not createResolver(): it takes the global reactor, and leaves a delayed call behind, which reads resolv.conf.
        servers = [server] if server is not None else _nameServers(resolvConf)
        self._reactor = reactor
        self._timeouts = tuple(timeouts)
        self._hosts = hosts if server is None else None
        self._resolver = Resolver(servers=servers, timeout=self._timeouts, reactor=reactor)
        # Its own way leaves the connection open, and waits for as long as it likes.
        self._resolver.queryTCP = self._overTCP  # type: ignore[assignment]
        #: The types of records that are wanted, and the versions of IP that they are for.
        self._types: dict[int, int] = {}
        self._wanted = "address"
        if family != socket.AF_INET:
            self._types[dns.AAAA] = 6
        if family != socket.AF_INET6:
            self._types[dns.A] = 4
        if family != socket.AF_UNSPEC:
            self._wanted = "IPv6 address" if family == socket.AF_INET6 else "IPv4 address"

    async def addresses(self, host: str) -> list[str]:
        """
        All addresses of a host.

        @raise ResolutionFailed: there is none.
        """
        found = self.fromHosts(host)
        failures = []
        if not found:
            asked = [Deferred.fromCoroutine(self._addressesOfType(host, type)) for type in self._types]
            for result in await gatherResults(asked):
                if isinstance(result, ResolutionFailed):
                    failures.append(result)
                else:
                    found += result
        if found:
            return list(dict.fromkeys(found))
        if failures:
            raise failures[0]
        raise ResolutionFailed(f"{host} has no {self._wanted}")

    async def _addressesOfType(self, host: str, type: int) -> list[str] | ResolutionFailed:
        try:
            return [str(ipaddress.ip_address(record.address)) for record in await self.ask(host, type)]
        except ResolutionFailed as e:
            return e

    def fromHosts(self, host: str) -> list[str]:
        """
        The addresses of a host in the file of hosts; none if there is another name server to ask.
        """
        if self._hosts is None:
            return []
        from twisted.names.hosts import searchFileForAll
        from twisted.python.filepath import FilePath

        try:
            found = [
                ipaddress.ip_address(each)
                for each in searchFileForAll(FilePath(self._hosts), inASCII(host.rstrip(".")).encode("ascii"))
            ]
        except ValueError:
            return []
        return [str(address) for version in self._types.values() for address in found if address.version == version]

    async def ask(self, name: str, type: int) -> list[Any]:
        """
        The records of one type that a name has; none if it has only others.

        Name servers that ask others follow aliases (CNAME) themselves, and answer with the records that they have come
        to; an authority may answer with the alias alone.

        @raise ResolutionFailed: there is no answer, or it says that something went wrong.
        """
        from twisted.names import dns

        asked = name
        for _ in range(_MOST_ALIASES):
            answers = await self._answers(asked, type)
            records = [answer.payload for answer in answers if answer.type == type]
            aliases = {_name(answer.name): _name(answer.payload.name) for answer in answers if answer.type == dns.CNAME}
            asked = asked.lower().rstrip(".")
            if records or asked not in aliases:
                return records
            while asked in aliases:
                asked = aliases.pop(asked)
        raise ResolutionFailed(f"{name} is an alias of an alias, and so on")

    async def _answers(self, name: str, type: int) -> list[Any]:
        from twisted.internet.defer import TimeoutError
        from twisted.internet.error import CannotListenError, ConnectError, ConnectionClosed
        from twisted.names import dns, error

        try:
            encoded = dns.domainString(inASCII(name.rstrip(".")))
        except ValueError:
            encoded = b""
        if len(encoded) > 253 or not _NAME.fullmatch(encoded):
            raise ResolutionFailed(f"{name!a} can't be the name of a domain")
        try:
            answers, _, _ = await self._resolver.query(dns.Query(encoded, type))
        except error.DNSNameError:
            raise _NoSuchName(f"{name} does not exist, says the name server")
        except error.DNSQueryRefusedError:
            raise ResolutionFailed(f"the name server refuses to answer for {name}")
        except error.DomainError:
            raise ResolutionFailed(f"the name server fails to answer for {name}")
        except TimeoutError:
            raise ResolutionFailed(f"no answer for {name} from the name server")
        except (OSError, ConnectError, ConnectionClosed, CannotListenError) as e:
            raise ResolutionFailed(f"the name server that is to answer for {name} can't be reached: {_oneLine(e)}")
        return list(answers)

    def _overTCP(self, queries: list[Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connectAndAsk(queries))

    async def _connectAndAsk(self, queries: list[Any]) -> Any:
        """
        Ask over a connection of its own, for answers that are too long for a datagram (RFC 7766).
        """
        from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
        from twisted.names.dns import DNSProtocol

        host, port = self._resolver.pickServer()
        seconds = sum(self._timeouts)
        # Whatever its name says, the endpoint takes addresses of both families.
        endpoint = TCP4ClientEndpoint(self._reactor, host, port, timeout=seconds)
        protocol = await connectProtocol(endpoint, DNSProtocol(self._resolver, self._reactor))
        try:
            return await protocol.query(queries, seconds)
        finally:
            protocol.transport.loseConnection()


def _name(name: Any) -> str:
    """
    A L{twisted.names.dns.Name} as text, in lower case, without a final dot; empty for the root.
    """
    octets: bytes = name.name
    return octets.decode("latin-1").lower().rstrip(".")


def _nameServers(path: str) -> list[tuple[str, int]]:
    """
    The name servers of a resolv.conf(5); that of this machine, if there are none.
    """
    servers = []
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver":
                    servers.append((words[1], 53))
    except OSError:
        pass
    return servers[:_MOST_SERVERS] or [("127.0.0.1", 53)]


def _oneLine(e: Exception) -> str:
    return " ".join(str(e).split()) or type(e).__name__
