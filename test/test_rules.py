"""
Tests for L{smtpsource.sink.rules}: what rules decide, for whom, and what they leave to chance.
"""

from __future__ import annotations

import math
from collections import Counter
from textwrap import dedent

from hypothesis import strategies as st
from properties import given
from rulesets import applies, facts, named, oneRule, ruleSet
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.rules.facts import Facts, Fate
from smtpsource.sink.rules.ruleset import RuleSet, combined
from smtpsource.sink.rules.subjects import STEPS, identity
from smtpsource.sink.rules.written import fromExpressions

#: Values of chi-squared that one in a thousand exceeds, by degrees of freedom.
CHI_SQUARED = {1: 10.83, 2: 13.82, 19: 43.82}

#: Seeds that are the same in each run, so that what is found is the same.
SEEDS = range(400)


def chiSquared(found, expected):
    """
    @return: how far counts are from what is expected.
    """
    return sum((one - other) ** 2 / other for one, other in zip(found, expected, strict=True))


class OrderTests(SynchronousTestCase):
    """
    Which rules have a part in what is decided.
    """

    def test_none(self):
        """
        Without rules nothing is decided, and it is known before that nothing will be.
        """
        for rules in (RuleSet(), oneRule('on = "mail", do = { close = true }')):
            self.assertIsNone(rules.decide("rcpt", facts(), 0.0))
            self.assertFalse(rules.wants("rcpt"))
        self.assertTrue(rules.wants("mail"))

    def test_first(self):
        """
        The first rule that does more than timing is the last that is asked: the next ones do not even count.
        """
        rules = ruleSet("""
            [[rule]]
            on = "rcpt"
            when = { recipient = "a@*" }
            do = { reply = "450 4.2.1 first" }
            [[rule]]
            on = "rcpt"
            times = 1
            per = "all"
            do = { reply = "550 5.1.1 second" }
        """)
        self.assertEqual(rules.decide("rcpt", facts(recipient="a@b.test"), 0.0).reply, b"450 4.2.1 first\r\n")
        self.assertEqual(rules.decide("rcpt", facts(recipient="c@b.test"), 0.0).reply, b"550 5.1.1 second\r\n")
        self.assertIsNone(rules.decide("rcpt", facts(recipient="c@b.test"), 0.0))

    def test_timing(self):
        """
        Rules that do nothing but timing add to it, and of each kind the first counts. A rule that adds nothing has no
        part in it.
        """
        rules = ruleSet("""
            [[rule]]
            name = "slow"
            on = "mail"
            do = { delay = 2, stutter = 10 }
            [[rule]]
            name = "the same"
            on = "mail"
            do = { delay = 3 }
            [[rule]]
            name = "split"
            on = "mail"
            do = { split = true, throttle = "1k" }
            [[rule]]
            name = "refused"
            on = "mail"
            when = { sender = "me@*" }
            do = { delay = "1h", reply = "451 4.3.0 no" }
            [[rule]]
            name = "too late"
            on = "mail"
            do = { delay = 1 }
        """)
        fate = rules.decide("mail", facts(), 0.0)
        self.assertEqual(
            fate,
            Fate(("slow", "split", "refused"), b"451 4.3.0 no\r\n", delay=2, stutter=10, throttle=1024, split=True),
        )

    def test_names(self):
        """
        A rule without a name is called by its place and its steps.
        """
        rules = ruleSet("""
            [[rule]]
            on = ["mail", "rcpt"]
            when = { sender = "x@*" }
            do = { close = true }
            [[rule]]
            on = "mail"
            do = { close = true }
        """)
        self.assertEqual(named(rules, "mail", sender="x@y.test"), ("rule 1 (mail, rcpt)",))
        self.assertEqual(named(rules, "mail"), ("rule 2 (mail)",))

    def test_combined(self):
        """
        Rules of several sources are asked in the order of these, and called by their place among all of them; the first
        greylist, tarpit and seed are used.
        """
        first = oneRule('on = "mail", do = { delay = 1 }')
        second = ruleSet("""
            seed = 5
            [greylist]
            delay = "1m"
            [[rule]]
            on = "mail"
            do = { close = true }
        """)
        third = ruleSet('seed = 6\n[greylist]\ndelay = "1h"\n[tarpit]\nafter = 1')
        rules = combined([first, second, third])
        self.assertEqual(named(rules, "mail"), ("rule 1 (mail)", "rule 2 (mail)"))
        self.assertEqual((rules.seed, rules.greylist.document), (5, {"delay": "1m"}))
        self.assertEqual(rules.tarpit.delay(1), 1.0)

    def test_equalNames(self):
        """
        Two rules of different files can't have the same name.
        """
        rules = ['on = "mail", name = "a", do = { delay = 1 }', 'on = "rcpt", name = "a", do = { delay = 1 }']
        error = self.assertRaises(ValueError, combined, [oneRule(rule) for rule in rules])
        self.assertEqual(str(error), "name: 'a' is the name of another rule: expected one of its own")


class DoneTests(SynchronousTestCase):
    """
    What a rule does.
    """

    def fate(self, do, step="message"):
        """
        @return: what a rule decides that does this.
        """
        return oneRule(f'on = "{step}", name = "x", do = {{ {do} }}').decide(step, facts(), 0.0)

    def test_each(self):
        """
        Each action by itself.
        """
        name = ("x",)
        for do, fate in {
            "delay = '300ms'": Fate(name, delay=0.3),
            "delay = 0.5": Fate(name, delay=0.5),
            "stutter = 10": Fate(name, stutter=10),
            "stutter = '1k/s'": Fate(name, stutter=1024),
            "throttle = 0.5": Fate(name, throttle=0.5),
            "split = true": Fate(name, split=True),
            "garble = true": Fate(name, garble=True),
            "stall = true": Fate(name, stall=True),
            "close = true": Fate(name, close=True),
            "reset = true": Fate(name, reset=True),
            "reply = '451 4.7.1 later'": Fate(name, b"451 4.7.1 later\r\n"),
            "reply = '451'": Fate(name, b"451\r\n"),
            "reply = ['451-a', '451-', '451 \u00e4']": Fate(name, b"451-a\r\n451-\r\n451 \xc3\xa4\r\n"),
            "reply = '421 4.3.2 bye', close = true": Fate(name, b"421 4.3.2 bye\r\n", close=True),
            "garble = true, reset = true": Fate(name, garble=True, reset=True),
            "accept-but-lose = true": Fate(name, deceit="accept-but-lose"),
            "duplicate = true, reply = '250 2.0.0 twice'": Fate(name, b"250 2.0.0 twice\r\n", deceit="duplicate"),
            "corrupt = true": Fate(name, deceit="corrupt"),
            "reject-but-keep = true": Fate(name, b"554 5.6.0 Message refused\r\n", deceit="reject-but-keep"),
            "reject-but-keep = true, reply = '452 no'": Fate(name, b"452 no\r\n", deceit="reject-but-keep"),
        }.items():
            self.assertEqual(self.fate(do), fate, do)

    def test_elsewhere(self):
        """
        What makes sense at some steps only.
        """
        self.assertTrue(self.fate("tls-fail = true", "starttls").tlsFail)
        self.assertTrue(self.fate("tls-fail = true", "connect").tlsFail)
        self.assertEqual(self.fate("reply = '354 go on'", "data").reply, b"354 go on\r\n")
        self.assertEqual(self.fate("reply = '220 hello'", "connect").reply, b"220 hello\r\n")
        self.assertEqual(self.fate("throttle = 10", "content").throttle, 10)
        self.assertTrue(self.fate("reset = true", "content").reset)


class WhenTests(SynchronousTestCase):
    """
    To whom a rule applies.
    """

    def assertApplies(self, when, right, wrong, step="rcpt"):
        """
        A rule with this condition applies to some, and not to others.
        """
        rules = oneRule(f'on = "{step}", when = {{ {when} }}, do = {{ close = true }}')
        for some in right:
            self.assertTrue(applies(rules, step, **some), (when, some))
        for some in wrong:
            self.assertFalse(applies(rules, step, **some), (when, some))

    def test_addresses(self):
        """
        Globs of addresses, letters in either case; one of several is enough.
        """
        self.assertApplies(
            "recipient = '*@Slow.test'",
            [{"recipient": "a@slow.test"}, {"recipient": "B@SLOW.TEST"}],
            [{"recipient": "a@slow.test.example"}, {"recipient": "a@snow.test"}, {"recipient": ""}],
        )
        self.assertApplies(
            "sender = ['', 'a?@*', '[bc]@d']",
            [{"sender": ""}, {"sender": "ab@x"}, {"sender": "B@d"}],
            [{"sender": "a@x"}, {"sender": "d@d"}],
        )

    def test_domain(self):
        """
        The domain is the recipient's, and at MAIL the sender's.
        """
        some = [{"recipient": "x@a.test", "sender": "x@b.test"}]
        self.assertApplies("domain = 'a.*'", some, [{"recipient": "a.x@b.test"}, {"recipient": "a.test"}])
        self.assertApplies("domain = 'b.test'", some, [{"sender": "x@a.test"}], "mail")

    def test_anyRecipient(self):
        """
        After RCPT it is enough that one of the recipients is meant.
        """
        both = {"recipient": "a@a.test", "recipients": ["a@a.test", "b@b.test"]}
        for step in ("data", "content", "message"):
            self.assertApplies("recipient = 'b@*'", [both], [{"recipient": "a@a.test"}], step)
            self.assertApplies("domain = 'b.test'", [both], [{"recipient": "a@a.test"}], step)
        self.assertApplies("recipient = 'b@*'", [], [both])

    def test_client(self):
        """
        Addresses, networks and globs; IPv4 also as IPv6 has it; UNIX sockets.
        """
        self.assertApplies(
            "client = ['192.0.2.0/24', '2001:db8::/32', '198.51.100.7', '203.*']",
            [{"client": c} for c in ("192.0.2.9", "::ffff:192.0.2.9", "2001:DB8::1", "198.51.100.7", "203.0.113.1")],
            [{"client": c} for c in ("192.0.3.9", "2001:db9::1", "198.51.100.8", "local")],
        )
        self.assertApplies("client = 'local'", [{"client": "local"}], [{"client": "::1"}], "connect")

    def test_others(self):
        """
        Names of clients, users, sizes and TLS.
        """
        self.assertApplies("helo = '*.example'", [{"helo": "A.Example"}], [{"helo": "example"}], "helo")
        self.assertApplies("user = 'me'", [{"user": "me"}], [{"user": ""}, {"user": "you"}])
        self.assertApplies("size-above = '10k'", [{"size": 10241}], [{"size": 10240}], "message")
        self.assertApplies("size-below = 100", [{"size": 99}, {"size": 0}], [{"size": 100}], "mail")
        self.assertApplies("tls = true", [{"tls": True}], [{"tls": False}], "connect")
        self.assertApplies("tls = false", [{"tls": False}], [{"tls": True}])

    def test_all(self):
        """
        All conditions must hold.
        """
        right = {"sender": "a@b", "recipient": "c@d"}
        self.assertApplies(
            "sender = 'a@b', recipient = 'c@d'", [right], [{**right, "sender": "x@b"}, {**right, "recipient": "x@d"}]
        )


class ChanceTests(SynchronousTestCase):
    """
    What is left to chance: as often as a rule says, and the same whenever the same is asked.
    """

    def hits(self, chance):
        """
        @return: for each seed and each of some recipients, whether a rule with this chance applies.
        """
        text = f'[[rule]]\non = "rcpt"\nchance = "{chance}%"\ndo = {{ reply = "451 4.7.1 later" }}'
        found = {}
        for seed in SEEDS:
            rules = ruleSet(f"seed = {seed}\n{text}")
            for number in range(50):
                found[seed, number] = applies(rules, "rcpt", recipient=f"{number}@a.test")
        return found

    def test_shares(self):
        """
        Over many seeds, a rule applies as often as its chance says.
        """
        for chance in (1, 5, 20, 50, 95):
            found = self.hits(chance)
            hits, total = sum(found.values()), len(found)
            expected = (total * chance / 100, total * (100 - chance) / 100)
            self.assertTrue(chiSquared((hits, total - hits), expected) < CHI_SQUARED[1], (chance, hits))

    def test_bounds(self):
        """
        0% is never, 100% always.
        """
        self.assertFalse(any(self.hits(0).values()))
        self.assertTrue(all(self.hits(100).values()))

    def test_independent(self):
        """
        What is drawn for one seed, recipient or attempt tells nothing of the next ones.
        """
        rules = {
            seed: ruleSet(f'seed = {seed}\n[[rule]]\non = "rcpt"\nchance = 0.5\ndo = {{ close = true }}')
            for seed in SEEDS
        }
        attempts = {
            (seed, number): [applies(rules[seed], "rcpt", recipient=f"{number}@a.test") for _ in range(2)]
            for seed in SEEDS
            for number in range(50)
        }
        first = {key: both[0] for key, both in attempts.items()}
        for name, pairs in {
            "attempts": attempts.values(),
            "recipients": [(first[s, n], first[s, n + 1]) for s in SEEDS for n in range(49)],
            "seeds": [(first[s, n], first[s + 1, n]) for s in SEEDS[:-1] for n in range(50)],
        }.items():
            counts = Counter(map(tuple, pairs))
            equal = counts[True, True] + counts[False, False]
            total = sum(counts.values())
            self.assertTrue(chiSquared((equal, total - equal), (total / 2, total / 2)) < CHI_SQUARED[1], name)

    def draws(self, do):
        """
        @return: what a rule on MAIL decides for 20,000 senders.
        """
        rules = oneRule(f'on = "mail", do = {{ {do} }}')
        return [rules.decide("mail", facts(sender=f"{number}@a.test"), 0.0) for number in range(20_000)]

    def test_uniform(self):
        """
        A delay between two times is any of them as often.
        """
        delays = [fate.delay for fate in self.draws("delay = { uniform = ['1s', '3s'] }")]
        self.assertTrue(min(delays) > 1 and max(delays) < 3)
        counts = Counter(int((delay - 1) * 10) for delay in delays)
        self.assertTrue(chiSquared([counts[n] for n in range(20)], [1000] * 20) < CHI_SQUARED[19], counts)

    def test_lognormal(self):
        """
        Half of the delays are shorter than the median; the share beyond it by so many sigma is the normal one; none is
        longer than the longest.
        """
        delays = [fate.delay for fate in self.draws("delay = { lognormal = { median = 2, sigma = 0.5, max = 5 } }")]
        below = [sum(delay < 2 * math.exp(0.5 * z) for delay in delays) for z in (-1, 0, 1)]
        counts = [below[0], below[1] - below[0], below[2] - below[1]]
        expected = [20_000 * share for share in (0.158655, 0.341345, 0.341345)]
        self.assertTrue(chiSquared(counts, expected) < CHI_SQUARED[2], counts)
        self.assertEqual(max(delays), 5)

    def test_texts(self):
        """
        Of several texts each comes as often as its weight says.
        """
        texts = (
            "texts = [{ text = '451 a', weight = 5 }, { text = ['450-b', '450 b'], weight = 3 }, { text = '550 c' }]"
        )
        counts = Counter(fate.reply for fate in self.draws(texts))
        found = [counts.pop(reply) for reply in (b"451 a\r\n", b"450-b\r\n450 b\r\n", b"550 c\r\n")]
        self.assertTrue(chiSquared(found, [20_000 * n / 9 for n in (5, 3, 1)]) < CHI_SQUARED[2], found)
        self.assertFalse(counts)

    def test_twins(self):
        """
        Two equal rules draw apart from each other: what the first lets pass, the second may not.
        """
        rule = 'on = "rcpt", chance = "50%", do = { reply = "451 later" }'
        rules = fromExpressions([rule, rule])
        counts = Counter(named(rules, "rcpt", recipient=f"{number}@a.test") for number in range(4000))
        found = [counts["rule 1 (rcpt)",], counts["rule 2 (rcpt)",], counts[()]]
        self.assertTrue(chiSquared(found, [2000, 1000, 1000]) < CHI_SQUARED[2], found)


#: Sessions at any step.
SUBJECTS = st.builds(
    lambda step, client, sender, recipient, message: (
        step,
        Facts(f"192.0.2.{client}", sender=sender, recipient=recipient, message=message, user=sender),
    ),
    st.sampled_from([step for step in STEPS if step != "content"]),
    st.integers(1, 3),
    st.sampled_from(["", "a@b", "\udce4@b"]),
    st.sampled_from(["c@d", "e@f"]),
    st.sampled_from(["", "1", "2"]),
)

DRAWN = """
    seed = 11
    [[rule]]
    name = "late"
    on = ["connect", "helo", "starttls", "auth", "mail", "rcpt", "data", "message", "rset", "noop", "quit"]
    chance = "50%"
    do = { delay = { uniform = [1, 2] } }
    [[rule]]
    name = "refused"
    on = ["helo", "auth", "mail", "rcpt", "message", "noop"]
    chance = "30%"
    do = { texts = [{ text = "451 a" }, { text = "450 b" }, { text = "550 c" }] }
"""


def fatesOf(rules, asked):
    """
    @return: for each subject, its fates in their order.
    """
    found = {}
    for step, about in asked:
        found.setdefault((step, repr(about)), []).append(rules.decide(step, about, 0.0))
    return found


class AnyOrderTests(SynchronousTestCase):
    """
    The same run has the same fate, in whatever order its messages come.
    """

    @given(st.data(), st.lists(SUBJECTS, min_size=1, max_size=30))
    def test_order(self, data, asked):
        """
        Whatever comes, each has the same fates as in another order, attempt by attempt.
        """
        # Two that differ only in what their step is not about are two attempts of one.
        asked = [one for one in {identity(*one): one for one in asked}.values() for _ in range(3)]
        other = data.draw(st.permutations(asked))
        self.assertEqual(fatesOf(ruleSet(DRAWN), asked), fatesOf(ruleSet(DRAWN), other))

    @given(st.lists(SUBJECTS, min_size=1, max_size=30))
    def test_otherRules(self, asked):
        """
        Nor does it matter what the rules are called, or which others there are.
        """
        others = '[[rule]]\non = "mail"\nwhen = { sender = "nobody" }\nchance = "50%"\ndo = { close = true }\n'
        text = dedent(DRAWN).replace('"late"', '"early"') + others
        expected = fatesOf(ruleSet(DRAWN), asked)
        found = fatesOf(ruleSet(text), asked)
        self.assertEqual(withoutNames(expected), withoutNames(found))

    def test_anyTime(self):
        """
        What is drawn is the same in any process, with any version.
        """
        rules = ruleSet('seed = 7\n[[rule]]\non = "rcpt"\nchance = "30%"\ndo = { reply = "451 4.7.1 come back" }')
        found = ["x" if applies(rules, "rcpt", recipient=f"{n % 20}@a.test") else "." for n in range(60)]
        self.assertEqual("".join(found), "..x...xxx......x........x......x.........xxx.x.x..x..xxx....")

    def test_message(self):
        """
        A message has its fate by its Message-Id, whoever brings it, and another one in each attempt.
        """
        rule = 'on = "message", do = { delay = { uniform = [1, 2] } }'
        one, two = oneRule(rule), oneRule(rule)
        first = [one.decide("message", facts(message="a", client="192.0.2.1"), 0.0).delay for _ in range(5)]
        second = [two.decide("message", facts(message="a", sender="x@y"), 9.0).delay for _ in range(5)]
        self.assertEqual(first, second)
        self.assertEqual(len(set(first)), 5)


def withoutNames(fates):
    """
    What is done, by whomever.
    """
    return {
        key: [None if fate is None else (fate.reply, fate.delay) for fate in several] for key, several in fates.items()
    }


class SwappedTests(SynchronousTestCase):
    """
    A set of rules in the place of another one.
    """

    TEXT = """
        [greylist]
        delay = 10
        window = 100
        [[rule]]
        name = "three"
        on = "mail"
        times = 3
        per = "all"
        do = { reply = "451 4.3.0 wait" }
        [[rule]]
        on = "message"
        do = { delay = { uniform = [1, 2] } }
        [[rule]]
        on = "connect"
        connections = 1
        do = { reply = "421 4.7.0 busy" }
    """

    def test_inheriting(self):
        """
        Equal rules go on where the old ones were, also with another name or at another place; open connections stay
        open; and a greylist knows whom the old one knew.
        """
        old = ruleSet(self.TEXT)
        reference = ruleSet(self.TEXT)
        expected = [reference.decide("message", facts(message="a"), 0.0).delay for _ in range(3)]
        old.opened(facts())
        delays = [old.decide("message", facts(message="a"), 0.0).delay for _ in range(2)]
        self.assertTrue(all(applies(old, "mail") for _ in range(2)))
        self.assertTrue(applies(old, "rcpt", 0.0))
        more = '        [[rule]]\n        on = "quit"\n        do = { close = true }\n'
        new = ruleSet(self.TEXT.replace('"three"', '"3"') + more).inheriting(old)
        new.opened(facts())
        self.assertEqual(named(new, "connect"), ("rule 3 (connect)",))
        self.assertEqual([*delays, new.decide("message", facts(message="a"), 0.0).delay], expected)
        self.assertEqual([named(new, "mail") for _ in range(2)], [("3",), ()])
        self.assertFalse(applies(new, "rcpt", 50.0))
        new.closed(facts())
        self.assertFalse(applies(new, "connect"))

    def test_changed(self):
        """
        A rule that is not equal begins anew.
        """
        old = ruleSet(self.TEXT)
        for _ in range(4):
            old.decide("mail", facts(), 0.0)
        new = ruleSet(self.TEXT.replace("wait", "stay")).inheriting(old)
        self.assertEqual([applies(new, "mail") for _ in range(4)], [True, True, True, False])

    def test_document(self):
        """
        A set tells what is in it, and another one can be made of that.
        """
        document = ruleSet(dedent(DRAWN) + '[tarpit]\nafter = 2\n[greylist]\nkey = ["client"]\n').asDict()
        self.assertEqual(document["rule"][0]["do"], {"delay": {"uniform": [1, 2]}})
        self.assertEqual(RuleSet.fromDict(document).asDict(), document)
        document["rule"].clear()
        self.assertEqual(RuleSet().asDict(), {"rule": []})


class TarpitTests(SynchronousTestCase):
    """
    Who makes errors waits.
    """

    def test_delays(self):
        """
        Later and later, up to a bound.
        """
        tarpit = ruleSet('[tarpit]\nafter = 3\ndelay = "1s"\nstep = "500ms"\nmax = "2s"\nclose-after = 20').tarpit
        self.assertEqual([tarpit.delay(errors) for errors in range(7)], [0, 0, 0, 1, 1.5, 2, 2])
        self.assertEqual(tarpit.closeAfter, 20)
        self.assertEqual(tarpit.reply, b"421 4.7.0 Too many errors, closing connection\r\n")

    def test_usual(self):
        """
        Without more being said: a second for each reply after three errors, and nobody is sent away.
        """
        tarpit = ruleSet("[tarpit]").tarpit
        self.assertEqual([tarpit.delay(errors) for errors in (0, 2, 3, 100)], [0, 0, 1, 1])
        self.assertEqual(tarpit.closeAfter, 0)
