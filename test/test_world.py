"""
Tests for the files that describe a world, for what there is at its names, and for what is answered.
"""

from __future__ import annotations

import os
import re
import shlex
from textwrap import dedent
from typing import get_args

from hypothesis import strategies as st
from properties import given
from subprocesses import ROOT
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.sink.dns import worldfile
from smtpsource.sink.dns.answers import Answers
from smtpsource.sink.dns.behaviors import rulesByAddress
from smtpsource.sink.dns.world import DomainBehavior, Trouble
from smtpsource.sink.dns.worldfile import parseWorld, readWorld
from smtpsource.sink.options import SinkOptions
from smtpsource.sink.plan import SinkPlan


def world(text, directory="."):
    """
    @return: the world that a file describes.
    """
    return parseWorld(text.encode(), "w.toml", directory)


class WorldTestCase(SynchronousTestCase):
    """
    With worlds.
    """

    def says(self, text, problem):
        """
        A file is refused, by exactly this line.
        """
        e = self.assertRaises(ValueError, world, text)
        self.assertEqual(str(e), f"w.toml, {problem}")

    def about(self, line, problem):
        """
        A domain with this line, the second of its table, is refused.
        """
        self.says(f"[[domain]]\n{line}\nname = 'a.test'\n", f"line 2: domain[1].{problem}")


class FileTests(WorldTestCase):
    """
    L{parseWorld} and L{readWorld}.
    """

    def test_empty(self):
        """
        A file that says nothing: each domain has a mail server, all with one address.
        """
        self.assertEqual(world("").addresses(), {"127.0.1.1": DomainBehavior("*")})

    def test_order(self):
        """
        Hosts have addresses in the order in which domains name them; a host that is named twice has one.
        """
        found = world("""
            [[domain]]
            name = "Gmail.TEST."
            mx = ["10 mx1.gmail.test", "20 MX2.gmail.test."]
            [[domain]]
            name = "other.test"
            mx = ["10 mx.other.test", "20 mx2.gmail.test"]
            [[domain]]
            name = "alone.test"
            mx = []
        """)
        names = [behavior.name for behavior in found.addresses().values()]
        self.assertEqual(list(found.addresses()), [f"127.0.1.{number}" for number in (1, 2, 3, 4, 5)])
        self.assertEqual(names, ["gmail.test", "gmail.test", "other.test", "alone.test", "*"])

    def test_given(self):
        """
        What C{[hosts]} says, nobody else gets; the others begin where the file says, and none ends with 0 or 255.
        """
        found = world("""
            first-address = "127.0.3.254"
            [hosts]
            "mx.a.test" = ["127.0.4.1", "::1"]
            "www.a.test" = "127.0.0.9"
            [[domain]]
            name = "a.test"
            [[domain]]
            name = "b.test"
        """)
        self.assertEqual(
            {address: behavior.name for address, behavior in found.addresses().items()},
            {
                "127.0.4.1": "a.test",
                "::1": "a.test",
                "127.0.3.254": "b.test",
                "127.0.4.2": "*",
                "127.0.0.9": "a.test",
            },
        )

    def test_behaviors(self):
        """
        A domain's rules are beside its name, in a file beside the world's, and in a profile, in that order; all
        addresses of a domain have the same ones. They draw by the world's seed.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        for name, text in (
            ("gmail.toml", "[[rule]]\nname = 'second'\non = 'rcpt'\ndo = { close = true }\n"),
            (
                "world.toml",
                "seed = 5\n[[domain]]\nname = 'a.test'\nmx = ['1 mx1.a.test', '2 mx2.a.test']\n"
                "rules = 'gmail.toml'\n"
                "[[domain.rule]]\nname = 'first'\non = 'mail'\ndo = { delay = '1s' }\n",
            ),
        ):
            with open(os.path.join(directory, name), "w") as file:
                file.write(text)
        found = readWorld(os.path.join(directory, "world.toml"))
        behavior = found.behaviorOf("127.0.1.1")
        self.assertEqual(behavior.rules, os.path.join(os.path.abspath(directory), "gmail.toml"))
        self.assertTrue(found.behaviorOf("127.0.1.3").isUsual)
        self.assertIs(found.behaviorOf("127.0.9.9"), None)
        rules = rulesByAddress(found)
        self.assertEqual(rules.keys(), {"127.0.1.1", "127.0.1.2"})
        name, ruleSet = rules["127.0.1.1"]
        self.assertEqual((name, rules["127.0.1.2"]), ("a.test", (name, ruleSet)))
        self.assertEqual([rule.name for rule in ruleSet.rules], ["first", "second"])
        self.assertEqual(ruleSet.seed, 5)

    def test_profile(self):
        """
        A profile that comes with the sink.
        """
        found = world("[[domain]]\nname = 'a.test'\nprofile = 'greylisting'")
        self.assertEqual(found.behaviorOf("127.0.1.1").profile, "greylisting")
        self.assertIsNot(rulesByAddress(found)["127.0.1.1"][1].greylist, None)

    def test_unreadable(self):
        """
        A file that can't be read, or is no TOML, is named.
        """
        e = self.assertRaises(ValueError, readWorld, "none.toml")
        self.assertEqual(str(e), "'none.toml' is not usable: expected a readable file: No such file or directory")
        with open("odd.toml", "wb") as file:
            file.write(b"seed = 1\nttl = 2 2\n")
        e = self.assertRaises(ValueError, readWorld, "odd.toml")
        self.assertRegex(str(e), r"^odd\.toml, line 2, column 9: expected TOML: [^\n]*$")
        e = self.assertRaises(ValueError, parseWorld, b"seed = 1\n# \xff", "w.toml")
        self.assertEqual(str(e), "w.toml, line 2: expected UTF-8")
        e = self.assertRaises(ValueError, world, "seed = " + "[" * 5000)
        self.assertIn("expected TOML", str(e))

    def test_top(self):
        """
        What is wrong at the top.
        """
        self.says(
            "\nsead = 1",
            "line 2: sead: no such key: expected seed, ttl, first-address, hosts or domain; did you mean seed?",
        )
        self.says("seed = -1", "line 1: seed: -1 is not usable: expected a whole number from 0 to 2147483647")
        self.says("seed = true", "line 1: seed: true is not usable: expected a whole number from 0 to 2147483647")
        self.says("ttl = '1.5s'", "line 1: ttl: '1.5s' is not usable: expected whole seconds, such as '1m'")
        self.says(
            "first-address = '192.0.2.1'",
            "line 1: first-address: '192.0.2.1' is not usable: expected a loopback address, such as '127.0.0.9' or "
            "'::1'",
        )
        self.says(
            "first-address = '::1'",
            "line 1: first-address: '::1' is not usable: expected an IPv4 loopback address, such as '127.0.1.1'",
        )
        self.says(
            "first-address = '127.255.255.254'\n[[domain]]\nname = 'a.test'\nmx = ['1 b.test', '2 c.test']",
            "line 2: domain: expected domains with at most 4096 addresses in all",
        )
        self.says("domain = 3", "line 1: domain: 3 is not usable: expected tables with the header [[domain]]")
        self.says(
            "domain = [3]", "line 1: domain[1]: 3 is not usable: expected a table, such as { name = 'gmail.test' }"
        )
        self.says("hosts = 3", "line 1: hosts: 3 is not usable: expected a table of names and addresses")

    def test_hosts(self):
        """
        What is wrong with hosts.
        """
        expected = "expected a loopback address, such as '127.0.0.9' or '::1'"
        self.says("[hosts]\n\n'a.test' = '192.0.2.1'", f"line 3: hosts.a.test: '192.0.2.1' is not usable: {expected}")
        self.says("[hosts]\n'a.test' = ['127.0.0.1', 'x']", f"line 2: hosts.a.test: 'x' is not usable: {expected}")
        self.says(
            "[hosts]\n'a.test' = 7",
            "line 2: hosts.a.test: 7 is not usable: expected a text, such as '127.0.0.9'",
        )
        self.says(
            "[hosts]\n'*.test' = '127.0.0.9'",
            "line 2: hosts.*.test: no name of a host: expected the name of a host, such as 'mx1.gmail.test'",
        )
        self.says(
            "[hosts]\n'a.test' = '127.0.0.9'\n'A.test' = '127.0.0.9'",
            "line 3: hosts.A.test: it is there twice: expected each host once",
        )

    def test_domain(self):
        """
        What is wrong with one domain.
        """
        known = "name, mx, txt, answer, chance, times, types, delay, spread, rules, profile, rule, greylist or tarpit"
        self.about("mxs = []", f"mxs: no such key: expected {known}; did you mean mx?")
        self.about(
            "mx = ['10 mx.a.test', 'mx1']",
            "mx: 'mx1' is not usable: expected a preference up to 65535 and a host, such as '10 mx1.gmail.test' or "
            "'10 mx.*'",
        )
        self.about(
            "mx = '10 x*.test'",
            "mx: '10 x*.test' is not usable: expected a preference up to 65535 and a host, such as "
            "'10 mx1.gmail.test' or '10 mx.*': a star stands for the domain, and once",
        )
        self.about("mx = 7", "mx: 7 is not usable: expected a text, such as '10 mx1.gmail.test'")
        self.about(
            "answer = 'nothing'",
            "answer: 'nothing' is not usable: expected nxdomain, servfail, refused, timeout, empty, truncate, null-mx "
            "or mx-without-address",
        )
        share = "expected a share from '0%' to '100%', or from 0 to 1, such as '5%' or 0.05"
        for value in ("30", "101%", "x%"):
            self.about(f"chance = '{value}'", f"chance: '{value}' is not usable: {share}")
        self.about("chance = 0", "chance: 0 is not usable: expected a chance of more than 0%, such as '30%'")
        self.about(
            "chance = '30%'",
            "chance: '30%' is not usable: expected an answer beside it, such as answer = 'servfail'",
        )
        self.about("times = 3", "times: 3 is not usable: expected an answer beside it, such as answer = 'servfail'")
        self.about("times = 0", "times: 0 is not usable: expected a whole number from 1 to 2147483647")
        self.about("types = 'SRV'", "types: 'SRV' is not usable: expected A, AAAA, MX, NS, SOA or TXT")
        self.about(
            "delay = 'soon'",
            "delay: 'soon' is not usable: expected a time such as 30s, 500ms or 1h30m (a number alone is seconds)",
        )
        self.about(
            "delay = -1",
            "delay: -1 is not usable: expected a time such as 30s, 500ms or 1h30m (a number alone is seconds)",
        )
        self.about("spread = 65", "spread: 65 is not usable: expected a whole number from 1 to 64")
        self.about(
            "spread = 2",
            "spread: 2 is not usable: expected it for domains with a star in the names of their hosts alone",
        )
        self.about("txt = [['a']]", "txt: a list is not usable: expected a text, such as 'v=spf1 -all'")
        self.about("txt = '''" + "x" * 4097 + "'''", f"txt: '{'x' * 59}...' is not usable: expected at most 4096 bytes")
        self.about(
            "rules = 'none.toml'",
            f"rules: {os.path.join('.', 'none.toml')!r} is not usable: expected a readable file: No such file or "
            "directory",
        )
        self.about(
            "profile = 'no such'",
            "profile: 'no such' is not usable: expected big-provider, flaky, greylisting, overloaded or strict",
        )
        text = "[[domain]]\nname = 'a.test'\n[[domain.rule]]\non = 'rcpt'\ndo = { delays = '1s' }"
        e = self.assertRaises(ValueError, world, text)
        self.assertRegex(str(e), r"^w\.toml, line 5: domain\[1\]\.rule\[1\]\.do\.delays: no such key: [^\n]*$")

    def test_names(self):
        """
        What is wrong with the names of domains.
        """
        self.says("\n[[domain]]\nmx = []", "line 2: domain[1]: no 'name': expected one, such as name = 'gmail.test'")
        for name in ("", "a..test", "a b.test", "-a.test", "x" * 64, "1.0.0.127.in-addr.arpa", ".".join("x" * 130)):
            shown = repr(name) if len(name) < 59 else f"{repr(name)[:60]}...'"
            self.says(
                f"[[domain]]\nname = '{name}'",
                f"line 2: domain[1].name: {shown} is not usable: expected a domain, such as 'gmail.test' or "
                "'*.slow.test'",
            )
        self.says(
            "[[domain]]\nname = 'a.test'\n[[domain]]\nname = 'A.test'",
            "line 4: domain[2].name: 'A.test' is not usable: expected each domain once",
        )
        self.says(
            "[[domain]]\nname = '*.test'\n[[domain]]\nname = '*.slow.test'",
            "line 4: domain[2].name: '*.slow.test' is not usable: expected it before *.test, which takes all that it "
            "is to match",
        )

    def test_contradictions(self):
        """
        What does not go together.
        """
        self.says(
            "[[domain]]\nname = 'a.test'\nanswer = 'null-mx'\nmx = '1 mx.a.test'",
            "line 4: domain[1].mx: '1 mx.a.test' is not usable: expected none beside the answer null-mx, unless that "
            "has chance or times",
        )
        self.says(
            "[[domain]]\nname = 'a.test'\nanswer = 'null-mx'\ntypes = ['A']",
            "line 4: domain[1].types: a list is not usable: expected MX, which null-mx is about",
        )
        expected = "whose rules are others: expected a host and an address for each"
        self.says(
            "[[domain]]\nname = 'a.test'\nrule = [{ on = 'rcpt', do = { close = true } }]\nmx = '1 mx.test'\n"
            "[[domain]]\nname = 'b.test'\nmx = '1 mx.test'",
            f"line 7: domain[2].mx: mx.test is of a.test already, {expected}",
        )
        self.says(
            "[hosts]\n'mx.a.test' = '127.0.0.9'\n'mx.b.test' = '127.0.0.9'\n"
            "[[domain]]\nname = 'a.test'\nrule = [{ on = 'rcpt', do = { close = true } }]\nmx = '1 mx.a.test'\n"
            "[[domain]]\nname = 'b.test'\nmx = '1 mx.b.test'",
            f"line 10: domain[2].mx: 127.0.0.9 is of a.test already, {expected}",
        )

    def test_international(self):
        """
        A name with other characters is the one that the DNS has for it.
        """
        found = world("[[domain]]\nname = 'm\u00fcller.test'\nmx = []")
        self.assertEqual(found.behaviorOf("127.0.1.1").name, "xn--mller-kva.test")


#: A world with something of each kind.
WORLD = """
    seed = 3
    ttl = 60
    [hosts]
    "v6.test" = ["127.0.0.6", "::1"]
    [[domain]]
    name = "gmail.test"
    mx = ["20 mx2.gmail.test", "10 mx1.gmail.test"]
    txt = ["v=spf1 -all"]
    [[domain]]
    name = "alone.test"
    mx = []
    [[domain]]
    name = "deep.er.down.test"
    [[domain]]
    name = "*.slow.test"
    spread = 4
    [[domain]]
    name = "no.test"
    answer = "nxdomain"
    [[domain]]
    name = "fail.test"
    answer = "servfail"
    [[domain]]
    name = "refused.test"
    answer = "refused"
    [[domain]]
    name = "silent.test"
    answer = "timeout"
    [[domain]]
    name = "empty.test"
    answer = "empty"
    [[domain]]
    name = "long.test"
    answer = "truncate"
    [[domain]]
    name = "null.test"
    answer = "null-mx"
    [[domain]]
    name = "lost.test"
    answer = "mx-without-address"
    [[domain]]
    name = "twice.test"
    answer = "servfail"
    times = 2
    types = "MX"
    [[domain]]
    name = "odd.test"
    answer = "servfail"
    chance = "30%"
    [[domain]]
    name = "late.test"
    delay = "200ms"
"""


class AnswersTests(WorldTestCase):
    """
    L{Answers}.
    """

    def setUp(self):
        self.answers = Answers(world(WORLD))

    def ask(self, name, type=dns.MX, overTCP=False):
        """
        @return: what comes of it.
        """
        return self.answers.answer(name.encode(), type, overTCP)

    def found(self, name, type=dns.MX):
        """
        @return: what the records of an answer say, as texts.
        """
        answer = self.ask(name, type)
        self.assertEqual(answer.result, "answer", name)
        self.assertEqual({record.ttl for record in answer.answers}, {60})
        return [self.said(record.payload) for record in answer.answers]

    def said(self, record):
        """
        @return: a record as text.
        """
        if record.TYPE == dns.MX:
            return f"{record.preference} {record.name.name.decode()}"
        if record.TYPE == dns.TXT:
            return b"".join(record.data).decode()
        if record.TYPE in (dns.NS, dns.PTR):
            return record.name.name.decode()
        return record.dottedQuad() if record.TYPE == dns.A else type(record).__name__

    def result(self, name, type=dns.MX, **how):
        """
        @return: what comes of it, in a word.
        """
        return self.ask(name, type, **how).result

    def test_named(self):
        """
        A domain has the records that the file says, in any case of letters; its hosts have theirs.
        """
        self.assertEqual(self.found("gmail.test"), ["20 mx2.gmail.test", "10 mx1.gmail.test"])
        self.assertEqual(self.found("GMail.Test."), ["20 mx2.gmail.test", "10 mx1.gmail.test"])
        self.assertEqual(self.found("gmail.test", dns.TXT), ["v=spf1 -all"])
        self.assertEqual(self.found("mx2.gmail.test", dns.A), ["127.0.1.1"])
        self.assertEqual(self.found("mx1.gmail.test", dns.A), ["127.0.1.2"])
        self.assertEqual(self.found("gmail.test", dns.NS), ["localhost"])
        self.assertEqual(self.found("gmail.test", dns.SOA), ["Record_SOA"])
        self.assertEqual(len(self.found("gmail.test", dns.ALL_RECORDS)), 5)

    def test_own(self):
        """
        A domain without MX records has an address of its own.
        """
        self.assertEqual(self.result("alone.test"), "no-data")
        self.assertEqual(self.found("alone.test", dns.A), ["127.0.1.3"])

    def test_families(self):
        """
        There is no IPv6 address but where the file says one.
        """
        self.assertEqual(self.result("mx1.gmail.test", dns.AAAA), "no-data")
        self.assertEqual(self.found("v6.test", dns.A), ["127.0.0.6"])
        self.assertEqual(self.found("v6.test", dns.AAAA), ["Record_AAAA"])

    def test_anybody(self):
        """
        Whatever else is asked for is a domain, whose mail server there is as well.
        """
        for name in ("example.com", "a.b.c.d.e", "x--y.test", "mx.example.com"):
            self.assertEqual(self.found(name), [f"10 mx.{name}"])
            addresses = self.found(f"mx.{name}", dns.A)
            self.assertEqual(self.answers._world.behaviorOf(addresses[0]).name, "*")

    def test_nothing(self):
        """
        What there is not: an NXDOMAIN below a domain, and no data at the root; both with the SOA (RFC 2308).
        """
        for name, expected in {
            "www.gmail.test": "nxdomain",
            "mx.gmail.test": "nxdomain",
            "_dmarc.example.com": "nxdomain",
            "a b.test": "nxdomain",
            "\u00fc.test": "nxdomain",
            "x" * 63 + ".test" * 40: "nxdomain",
            "": "no-data",
            "er.down.test": "answer",
            "gmail.test": "answer",
        }.items():
            answer = self.ask(name)
            self.assertEqual(answer.result, expected, name)
            self.assertEqual(
                [record.type for record in answer.authority], [] if expected == "answer" else [dns.SOA], name
            )
        [soa] = self.ask("www.gmail.test").authority
        self.assertEqual((soa.name.name, soa.payload.minimum), (b"gmail.test", 60))

    def test_between(self):
        """
        A name on the way to a domain exists, and has no data.
        """
        self.answers = Answers(world("[[domain]]\nname = 'a._b.c'\n[[domain]]\nname = '_dmarc.a._b.c'\ntxt = 'p'"))
        self.assertEqual(self.result("a._b.c"), "answer")
        self.assertEqual(self.result("_b.c"), "no-data")
        self.assertEqual(self.result("x._b.c"), "nxdomain")
        self.assertEqual(self.result("_dmarc.a._b.c", dns.TXT), "answer")

    def test_closed(self):
        """
        Where everybody else is no domain.
        """
        self.answers = Answers(world("[[domain]]\nname = 'a.test'\n[[domain]]\nname = '*'\nanswer = 'nxdomain'"))
        self.assertEqual(self.result("a.test"), "answer")
        self.assertEqual(self.result("b.test"), "nxdomain")

    def test_pattern(self):
        """
        Hosts of a pattern are spread among its addresses, always in the same way.
        """
        names = [f"mx.d{number}.slow.test" for number in range(100)]
        addresses = [self.found(name, dns.A)[0] for name in names]
        self.assertEqual(len(set(addresses)), 4)
        self.setUp()
        self.assertEqual(addresses[::-1], [self.found(name, dns.A)[0] for name in names[::-1]])
        for address in set(addresses):
            self.assertEqual(self.answers._world.behaviorOf(address).name, "*.slow.test")

    def test_reverse(self):
        """
        Each address leads to the name of a host that has it.
        """
        there = world("ttl = 60\n[[domain]]\nname = 'a.test'\n[[domain]]\nname = '*.slow.test'\nspread = 5")
        self.answers = Answers(there)
        for address in there.addresses():
            pointer = ".".join(address.split(".")[::-1]) + ".in-addr.arpa"
            [name] = self.found(pointer, dns.PTR)
            self.assertEqual(self.found(name, dns.A), [address])
        self.assertEqual(self.result("1.0.0.10.in-addr.arpa", dns.PTR), "nxdomain")
        self.assertEqual(self.result("127.in-addr.arpa", dns.PTR), "no-data")
        self.assertEqual(self.found("localhost", dns.A), ["127.0.0.1"])

    def test_troubles(self):
        """
        What goes wrong, with the domain and with all below it.
        """
        for name, expected in {
            "no.test": "nxdomain",
            "mx.no.test": "nxdomain",
            "fail.test": "servfail",
            "mx.fail.test": "servfail",
            "refused.test": "refused",
            "silent.test": "timeout",
            "empty.test": "no-data",
            "long.test": "truncated",
        }.items():
            self.assertEqual(self.result(name), expected, name)
            self.assertEqual(self.result(name, dns.A), expected, name)
        self.assertEqual(self.result("long.test", overTCP=True), "answer")

    def test_nullMX(self):
        """
        A null MX (RFC 7505), though there is an address for who does not look.
        """
        self.assertEqual(self.found("null.test"), ["0 "])
        self.assertEqual(len(self.found("null.test", dns.A)), 1)

    def test_withoutAddress(self):
        """
        MX records whose host has no address.
        """
        self.assertEqual(self.found("lost.test"), ["10 mx.lost.test"])
        self.assertEqual(self.result("mx.lost.test", dns.A), "no-data")

    def test_times(self):
        """
        Something goes wrong twice, with questions of one type.
        """
        found = [self.result("twice.test") for _ in range(4)]
        self.assertEqual(found, ["servfail", "servfail", "answer", "answer"])
        self.assertEqual(self.found("mx.twice.test", dns.A)[:1], self.found("mx.twice.test", dns.A))

    def test_chance(self):
        """
        About so many of all attempts go wrong; which ones is a matter of the seed, and not of what else is asked.
        """
        found = [self.result("odd.test") for _ in range(400)]
        self.assertTrue(80 < found.count("servfail") < 160, found.count("servfail"))
        self.answers = Answers(world(WORLD))
        again = []
        for _ in range(400):
            again.append(self.result("odd.test"))
            self.result("example.com")
        self.assertEqual(found, again)
        self.answers = Answers(world(WORLD.replace("seed = 3", "seed = 4")))
        self.assertNotEqual(found, [self.result("odd.test") for _ in range(400)])

    def test_delay(self):
        """
        An answer that is late.
        """
        self.assertEqual(self.ask("late.test").delay, 0.2)
        self.assertEqual(self.ask("gmail.test").delay, 0.0)

    @given(st.binary(max_size=255), st.integers(0, 65535), st.booleans())
    def test_anything(self, name, type, overTCP):
        """
        There is an answer to any question, of the type that is asked for.
        """
        answer = self.answers.answer(name, type, overTCP)
        for record in [*answer.answers, *answer.authority]:
            self.assertIn(type, (record.type, dns.ALL_RECORDS) if record in answer.answers else (type,))


class PlanTests(SynchronousTestCase):
    """
    What a program gives to a L{SinkPlan}.
    """

    def test_where(self):
        """
        Where questions are answered, as a text or as address and port.
        """
        for where, expected in {
            "0": ("127.0.0.1", 0),
            "127.0.0.53:53": ("127.0.0.53", 53),
            "[::1]:5353": ("::1", 5353),
            ("::1", 0): ("::1", 0),
            ("127.0.0.1", 65535): ("127.0.0.1", 65535),
        }.items():
            self.assertEqual(SinkPlan(dns=where).dns, expected)
        self.assertIs(SinkPlan().dns, None)

    def test_wrong(self):
        """
        What is none, or has no sense.
        """
        expected = "expected a port, or an address and a port, such as 5353, 127.0.0.53:53 or [::1]:5353, or None"
        for where in ("", "53x", "x:53", "::1", "[::1]", "65536", ("x", 1), ("127.0.0.1", 65536)):
            e = self.assertRaises(ValueError, SinkPlan, dns=where)
            self.assertEqual(str(e), f"dns: {where!r} is not usable: {expected}")
        e = self.assertRaises(ValueError, SinkPlan, dns=53)
        self.assertIn("expected the address and port of a name server, such as '127.0.0.1:5353', or None", str(e))
        e = self.assertRaises(ValueError, SinkPlan, world=os.devnull)
        self.assertEqual(str(e), "world needs dns")
        e = self.assertRaises(ValueError, SinkPlan, dns="0", path="socket")
        self.assertTrue(str(e).startswith("dns is not usable with a UNIX socket: expected a host and a port"), e)


class DocumentationTests(WorldTestCase):
    """
    What docs/world.rst has.
    """

    def setUp(self):
        self.text = (ROOT / "docs" / "world.rst").read_text("utf-8")
        self.blocks = [dedent(block) for block in re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", self.text)]

    def test_examples(self):
        """
        All of its files can be used; the first does what is said.
        """
        found = [world(block) for block in self.blocks if "[[domain]]" in block]
        self.assertGreater(len(found), 6)
        answers = Answers(found[0])
        self.assertEqual(answers.answer(b"gone.test", dns.MX).result, "nxdomain")
        self.assertEqual(answers.answer(b"x.slow.test", dns.MX).delay, 0.2)
        self.assertEqual({name for name, _ in rulesByAddress(found[0]).values()}, {"gmail.test", "*.slow.test"})

    def test_commands(self):
        """
        So can its command lines.
        """
        os.makedirs(directory := self.mktemp())
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(directory)
        with open("world.toml", "w") as file:
            file.write(self.blocks[1])
        kinds = {"smtpsink": SinkOptions, "smtpsource": SourceOptions}
        lines = [shlex.split(line.rstrip("&")) for block in self.blocks for line in block.splitlines()[:2]]
        commands = [line for line in lines if line and line[0] in kinds]
        self.assertEqual(len(commands), 4)
        for name, *arguments in commands:
            kinds[name]().parseOptions(arguments)

    def test_keys(self):
        """
        Each key has a section, and everything that goes wrong a place.
        """
        sections = {name for line in re.findall(r"^(.+)\n-+$", self.text, re.MULTILINE) for name in line.split(", ")}
        self.assertEqual(sections | {"greylist", "tarpit", "domain"}, {*worldfile.KEYS, *worldfile.KEYS_OF_DOMAIN})
        for trouble in get_args(Trouble):
            self.assertTrue(re.search(rf"^``(.*, ``)?{trouble}``", self.text, re.MULTILINE), trouble)
