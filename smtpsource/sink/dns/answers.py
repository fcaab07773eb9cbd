"""
What a world answers to a question of the DNS.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Literal

from twisted.names import dns

from smtpsource.sink.dns.world import Node, Trouble, World, drawn

#: What comes of a question: records; none of that type (RFC 2308 section 2.2); or what is wrong. C{truncated} is an
#: empty answer that asks to be asked over TCP, C{timeout} is none at all.
Result = Literal["answer", "no-data", "nxdomain", "servfail", "refused", "truncated", "timeout"]

#: The name server of every domain.
_NAME_SERVER = "localhost"

#: How many names are remembered for what happens to the first questions alone.
_MOST_REMEMBERED = 65536

#: The octets of one part of a TXT record (RFC 1035 section 3.3).
_PART = 255


@dataclass(frozen=True)
class Answer:
    """
    What to answer.

    @ivar answers: records (C{RRHeader}).
    @ivar authority: the same, for the section of that name: the SOA of what is not there (RFC 2308 section 3).
    @ivar delay: seconds until it is sent.
    """

    result: Result
    answers: tuple[Any, ...] = ()
    authority: tuple[Any, ...] = ()
    delay: float = 0.0


class Answers:
    """
    Answers questions about a world, each by itself: the only thing remembered is how often it was asked.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked: OrderedDict[tuple[str, int], int] = OrderedDict()

    def answer(self, name: bytes, type: int, overTCP: bool = False) -> Answer:
        """
        Answer one question.

        @param name: as it came.
        @param type: of records, or C{dns.ALL_RECORDS}.
        """
        text = name.decode("latin-1").lower().rstrip(".")
        node = self._world.find(text)
        domain = node.domain
        delay = domain.delay if domain is not None else 0.0
        trouble = self._troubleOf(node, text, type)
        if trouble in ("nxdomain", "empty"):
            result: Result = "nxdomain" if trouble == "nxdomain" else "no-data"
            return Answer(result, (), (self._soa(node.apex),), delay)
        if trouble == "servfail" or trouble == "refused" or trouble == "timeout":
            return Answer(trouble, delay=delay)
        if trouble == "truncate" and not overTCP:
            return Answer("truncated", delay=delay)
        records = [record for record in self._records(node, text, trouble) if type in (record.TYPE, dns.ALL_RECORDS)]
        if not records:
            exists = node.exists or text in ("", _NAME_SERVER)
            return Answer("no-data" if exists else "nxdomain", (), (self._soa(node.apex),), delay)
        return Answer("answer", tuple(self._header(name, record) for record in records), (), delay)

    def _troubleOf(self, node: Node, name: str, type: int) -> Trouble | None:
        """
        What goes wrong with this question.
        """
        for domain, ofHost in ((node.domain, False), (node.ofDomain, True)):
            failing = domain.failing if domain is not None else None
            if failing is None or (ofHost != (failing.trouble == "mx-without-address")):
                continue
            if failing.types and dns.QUERY_TYPES.get(type) not in failing.types:
                continue
            attempt = self._count(name, type)
            if failing.times is not None and attempt > failing.times:
                continue
            if failing.chance == 1.0 or drawn(self._world.seed, "dns", name, type, attempt) < failing.chance:
                return failing.trouble
        return None

    def _count(self, name: str, type: int) -> int:
        """
        How often this was asked, with this time.
        """
        key = (name, type)
        number = self._asked[key] = self._asked.pop(key, 0) + 1
        if len(self._asked) > _MOST_REMEMBERED:
            self._asked.popitem(last=False)
        return number

    def _records(self, node: Node, name: str, trouble: Trouble | None) -> list[Any]:
        """
        All records of a name.
        """
        records: list[Any] = []
        if trouble == "null-mx":
            records.append(dns.Record_MX(0, b""))
        else:
            records += [dns.Record_MX(preference, host.encode()) for preference, host in node.exchanges]
        addresses = node.addresses
        if name == _NAME_SERVER and not addresses:
            addresses = ("127.0.0.1", "::1")
        if trouble != "mx-without-address":
            records += [dns.Record_AAAA(each) if ":" in each else dns.Record_A(each) for each in addresses]
        for text in node.text:
            parts = [text[start : start + _PART] for start in range(0, len(text), _PART)] or [b""]
            records.append(dns.Record_TXT(*parts))
        if node.pointer:
            records.append(dns.Record_PTR(node.pointer.encode()))
        if node.exists and name == node.apex:
            records += [self._soa(node.apex).payload, dns.Record_NS(_NAME_SERVER.encode())]
        return records

    def _soa(self, apex: str) -> Any:
        ttl = self._world.ttl
        record = dns.Record_SOA(
            mname=_NAME_SERVER.encode(),
            rname=b"postmaster." + apex.encode() if apex else b"postmaster",
            serial=1,
            refresh=3600,
            retry=600,
            expire=86400,
            minimum=ttl,
        )
        return self._header(apex.encode(), record)

    def _header(self, name: bytes, record: Any) -> Any:
        return dns.RRHeader(name, record.TYPE, dns.IN, self._world.ttl, record, auth=True)
