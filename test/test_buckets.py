"""
Tests for L{smtpsource.sink.rules.gates} and the greylist: who comes too often, too fast or too soon.
"""

from __future__ import annotations

from collections import Counter
from itertools import cycle
from random import Random

from hypothesis import strategies as st
from properties import given
from rulesets import applies, facts, named, oneRule, ruleSet
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.rules import remembered
from smtpsource.sink.rules.remembered import Remembered
from smtpsource.sink.rules.ruleset import RuleSet

#: A clock that has run for a while.
START = 123456.789


def constant(rate):
    """
    @return: arrivals at an even pace.
    """
    return lambda rng: 1 / rate


def poisson(rate):
    """
    @return: arrivals at random.
    """
    return lambda rng: rng.expovariate(rate)


def bursts(size, interval):
    """
    @return: so many at once, again and again.
    """
    gaps = cycle([0.0] * (size - 1) + [interval])
    return lambda rng: next(gaps)


def passed(rules, gap, seconds):
    """
    @param gap: gives the time to the next arrival.
    @return: when one has passed, from 0 on.
    """
    rng = Random(1)
    elapsed = 0.0
    found = []
    while elapsed < seconds:
        if rules.decide("rcpt", facts(), START + elapsed) is None:
            found.append(elapsed)
        elapsed += gap(rng)
    return found


def eachSecond(times, seconds):
    """
    @return: how many there are in each whole second.
    """
    counts = Counter(map(int, times))
    return [counts[second] for second in range(seconds)]


def mostInAnySecond(times):
    """
    @return: the most that any second has, wherever it begins.
    """
    most = first = 0
    for index, time in enumerate(times):
        while times[first] <= time - 1:
            first += 1
        most = max(most, index - first + 1)
    return most


class LimitTests(SynchronousTestCase):
    """
    So many in a second pass, whatever comes in.
    """

    LIMIT = 'on = "rcpt", limit = "200/s", do = { reply = "450 4.7.0 too fast" }'

    OVERLOADS = {
        "2 times the rate": constant(400),
        "3.7 times": constant(740),
        "100 times": constant(20_000),
        "at random, 5 times": poisson(1000),
        "at random, 20 times": poisson(4000),
        "at random, 100 times": poisson(20_000),
        "4 at once, 2 times": bursts(4, 0.01),
        "50 at once, 25 times": bursts(50, 0.01),
        "200 at once, 100 times": bursts(200, 0.01),
    }

    def test_overload(self):
        """
        With a limit of 200/s, 198 to 202 pass in each second of an overload, in the first one as well.
        """
        for name, gap in self.OVERLOADS.items():
            times = passed(oneRule(self.LIMIT), gap, 10)
            counts = eachSecond(times, 10)
            self.assertTrue(min(counts) >= 198 and max(counts) <= 202, (name, counts))
            self.assertTrue(mostInAnySecond(times) <= 202, name)

    def test_gaps(self):
        """
        No second has more than rate and burst either if there are gaps, in which a full bucket spills; with a larger
        burst it spills less.
        """
        small = passed(oneRule(self.LIMIT), poisson(400), 30)
        self.assertTrue(mostInAnySecond(small) <= 202)
        large = passed(oneRule(self.LIMIT.replace('"200/s"', '"200/s", burst = 10')), poisson(400), 30)
        self.assertTrue(mostInAnySecond(large) <= 210)
        self.assertTrue(180 * 30 < len(small) < len(large))
        self.assertTrue(199 * 30 < len(large) <= 200 * 30 + 10)

    @given(
        st.floats(0.5, 500),
        st.one_of(st.none(), st.integers(1, 50)),
        st.lists(st.floats(0, 0.3), min_size=1, max_size=200),
    )
    def test_bounds(self, rate, burst, gaps):
        """
        Whatever comes, in no time do more pass than the rate says and a burst; and who is refused could not have passed
        without that.
        """
        more = "" if burst is None else f", burst = {burst}"
        rules = oneRule(f'on = "rcpt", limit = {rate}{more}, do = {{ close = true }}')
        room = max(1.0, rate / 100) if burst is None else burst
        now, tokens, last = START, room, START
        for gap in gaps:
            now += gap
            tokens = min(room, tokens + (now - last) * rate)
            last = now
            refused = applies(rules, "rcpt", now)
            if refused:
                self.assertTrue(tokens < 1 + 1e-6, tokens)
            else:
                self.assertTrue(tokens > 1 - 1e-6, tokens)
                tokens -= 1

    def test_underload(self):
        """
        Who keeps to the rate always passes.
        """
        rules = oneRule(self.LIMIT)
        self.assertFalse(any(applies(rules, "rcpt", START + number / 199) for number in range(2000)))

    def test_units(self):
        """
        Rates of a minute and of an hour.
        """
        for limit, seconds in (("30/m", 2), ("10/h", 360)):
            rules = oneRule(f'on = "rcpt", limit = "{limit}", do = {{ close = true }}')
            found = [applies(rules, "rcpt", START + now) for now in (0, seconds * 0.9, seconds, seconds * 1.9)]
            self.assertEqual(found, [False, True, False, True], limit)

    def test_burst(self):
        """
        A bucket is full at first, and again when nobody has come for long.
        """
        rules = oneRule('on = "rcpt", limit = "1/s", burst = 5, do = { close = true }')
        for begin in (START, START + 100):
            self.assertEqual([applies(rules, "rcpt", begin) for _ in range(7)], [False] * 5 + [True] * 2)

    def test_keys(self):
        """
        Each key has a bucket of its own, letters in either case.
        """
        for per, one, same, other in (
            ("client", {"client": "::1"}, {"client": "::1"}, {"client": "::2"}),
            ("sender", {"sender": "a@b"}, {"sender": "A@B"}, {"sender": "b@b"}),
            ("recipient", {"recipient": "a@b"}, {"recipient": "A@B"}, {"recipient": "b@b"}),
            ("domain", {"recipient": "a@b"}, {"recipient": "x@B"}, {"recipient": "a@c"}),
            ("message", {"message": "1"}, {"message": "1"}, {"message": "2"}),
        ):
            rules = oneRule(f'on = "rcpt", limit = "1/s", per = "{per}", do = {{ close = true }}')
            found = [applies(rules, "rcpt", START, **some) for some in (one, same, other)]
            self.assertEqual(found, [False, True, False], per)
        rules = oneRule('on = "rcpt", limit = "1/s", per = "all", do = { close = true }')
        self.assertEqual([applies(rules, "rcpt", START, client=client) for client in ("::1", "::2")], [False, True])

    def test_others(self):
        """
        Who is not meant takes no token.
        """
        rules = oneRule('on = "rcpt", when = { recipient = "a@*" }, limit = "1/s", do = { close = true }')
        self.assertFalse(applies(rules, "rcpt", recipient="b@b"))
        self.assertEqual([applies(rules, "rcpt", recipient="a@b") for _ in range(2)], [False, True])


class CountTests(SynchronousTestCase):
    """
    The first few, one in so many, and open connections.
    """

    def test_times(self):
        """
        The first three for each subject of the step.
        """
        rules = oneRule('on = "mail", times = 3, do = { close = true }')
        for sender in ("a@b", "c@d"):
            found = [applies(rules, "mail", sender=sender) for _ in range(5)]
            self.assertEqual(found, [True] * 3 + [False] * 2)

    def test_timesPer(self):
        """
        The first for each of what it says.
        """
        rules = oneRule('on = "mail", times = 1, per = "client", do = { close = true }')
        some = [("::1", "a@b"), ("::1", "c@d"), ("::2", "a@b")]
        found = [applies(rules, "mail", client=client, sender=sender) for client, sender in some]
        self.assertEqual(found, [True, False, True])

    def test_every(self):
        """
        Every third of all, or of each.
        """
        rules = oneRule('on = "rcpt", every = 3, do = { close = true }')
        found = [applies(rules, "rcpt", recipient=f"{number}@a") for number in range(7)]
        self.assertEqual(found, [False, False, True] * 2 + [False])
        rules = oneRule('on = "rcpt", every = 2, per = "domain", do = { close = true }')
        found = [applies(rules, "rcpt", recipient=f"x@{domain}") for domain in "abab"]
        self.assertEqual(found, [False, False, True, True])

    def test_connections(self):
        """
        The third of two at once, of the same client or of all, until one is closed.
        """
        for per, others in (("client", "192.0.2.1"), ("all", "192.0.2.2")):
            rules = oneRule(f'on = "connect", connections = 2, per = "{per}", do = {{ close = true }}')
            for client in ("192.0.2.1", others):
                rules.opened(facts(client=client))
                self.assertFalse(applies(rules, "connect", client=client))
            rules.opened(facts())
            self.assertTrue(applies(rules, "connect"))
            self.assertEqual(applies(rules, "connect", client="192.0.2.9"), per == "all")
            rules.closed(facts(client=others))
            self.assertFalse(applies(rules, "connect"))

    def test_closed(self):
        """
        Who was never opened can't be closed.
        """
        rules = oneRule('on = "connect", connections = 1, per = "all", do = { close = true }')
        rules.closed(facts())
        rules.opened(facts())
        rules.opened(facts())
        self.assertTrue(applies(rules, "connect"))


class GreylistTests(SynchronousTestCase):
    """
    Who has to come back.
    """

    TEXT = '[greylist]\ndelay = "5m"\nwindow = "1h"\n'

    def test_return(self):
        """
        The first attempt is refused, so are all before the delay is over; after one that came back, all are accepted.
        """
        rules = ruleSet(self.TEXT)
        fate = rules.decide("rcpt", facts(), 0.0)
        self.assertEqual((fate.rules, fate.reply), (("greylist",), b"451 4.7.1 Greylisted: come back later\r\n"))
        self.assertEqual([applies(rules, "rcpt", now) for now in (10, 299, 300, 301, 9e9)], [True, True] + [False] * 3)

    def test_window(self):
        """
        Who comes back too late is new.
        """
        rules = ruleSet(self.TEXT)
        self.assertEqual([applies(rules, "rcpt", now) for now in (0, 3601, 3700, 3902)], [True, True, True, False])

    def test_triplet(self):
        """
        Another sender or recipient is another one, letters in either case; a client of the same network is not.
        """
        rules = ruleSet(self.TEXT)
        applies(rules, "rcpt", 0)
        self.assertFalse(applies(rules, "rcpt", 300, client="192.0.2.200", sender="ME@sender.test"))
        for some in ({"client": "192.0.3.1"}, {"sender": ""}, {"recipient": "x@y"}):
            self.assertTrue(applies(rules, "rcpt", 300, **some), some)
        applies(rules, "rcpt", 0, client="2001:db8::1")
        self.assertFalse(applies(rules, "rcpt", 300, client="2001:db8::ffff:1"))
        self.assertTrue(applies(rules, "rcpt", 300, client="2001:db8:0:1::1"))

    def test_parts(self):
        """
        Only the client may count.
        """
        rules = ruleSet(self.TEXT + 'key = ["client"]')
        applies(rules, "rcpt", 0)
        self.assertFalse(applies(rules, "rcpt", 300, sender="x@y", recipient="z@y"))

    def test_autoWhitelist(self):
        """
        A network that has come back twice needs not any more; others do.
        """
        rules = ruleSet(self.TEXT + "auto-whitelist = 2")
        for recipient in ("a@b", "c@d"):
            self.assertEqual([applies(rules, "rcpt", now, recipient=recipient) for now in (0, 300)], [True, False])
        self.assertFalse(applies(rules, "rcpt", 0, recipient="e@f"))
        self.assertTrue(applies(rules, "rcpt", 0, recipient="e@f", client="192.0.3.1"))

    def test_rules(self):
        """
        Rules are asked when the greylist lets one through.
        """
        rules = ruleSet(self.TEXT + '[[rule]]\non = "rcpt"\ndo = { close = true }\n')
        self.assertEqual([named(rules, "rcpt", now) for now in (0, 300)], [("greylist",), ("rule 1 (rcpt)",)])


class RememberedTests(SynchronousTestCase):
    """
    What is remembered has a bound.
    """

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=200))
    def test_last(self, calls):
        """
        Half as many as it may have are always known, those that were used last; and there are never more than it may.
        """
        self.patch(remembered, "MOST_KEYS", 10)
        known = Remembered()
        values, used = {}, []
        for number, (isNew, key) in enumerate(calls):
            if isNew:
                known.set(key, number)
                values[key] = number
            elif key in used[-5:]:
                self.assertEqual(known.get(key, -1), values[key])
            elif known.get(key, -1) < 0:
                continue
            if key in used:
                used.remove(key)
            used.append(key)
            self.assertTrue(len(known) <= 10)

    def test_strangers(self):
        """
        However many come, a rule keeps no more than that of them.
        """
        self.patch(remembered, "MOST_KEYS", 1000)
        rules = RuleSet.fromDict({"rule": [{"on": "rcpt", "times": 1, "do": {"reply": "451 no"}}]})
        for number in range(5000):
            applies(rules, "rcpt", recipient=f"{number}@a.test")
        self.assertTrue(applies(rules, "rcpt", recipient="0@a.test"))
        self.assertFalse(applies(rules, "rcpt", recipient="4999@a.test"))
