"""
Tests for the profiles: rule files that come with the sink, and what they imitate.
"""

from __future__ import annotations

import re
from importlib import resources

from rulesets import applies, facts, named, oneRule
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.rules.ruleset import combined
from smtpsource.sink.rules.written import PROFILES, profile, profileText


def code(rules, step, now=0.0, **some):
    """
    @return: the first digits of the reply; C{""} for the usual one.
    """
    fate = rules.decide(step, facts(**some), now)
    return "" if fate is None or fate.reply is None else fate.reply[:3].decode()


class ProfilesTests(SynchronousTestCase):
    """
    All of them.
    """

    def test_each(self):
        """
        Each can be used, says at its top what it imitates, and names its rules after itself.
        """
        for name in PROFILES:
            text = profileText(name)
            self.assertTrue(text.startswith("# A "), name)
            rules = profile(name)
            self.assertTrue(all(rule.name.startswith(f"{name}: ") for rule in rules.rules), name)
            self.assertFalse([line for line in text.splitlines() if len(line) > 120], name)

    def test_files(self):
        """
        There are no others.
        """
        files = (resources.files("smtpsource.sink.rules") / "profiles").iterdir()
        self.assertEqual(sorted(file.name for file in files), [f"{name}.toml" for name in PROFILES])

    def test_names(self):
        """
        A name that there is not.
        """
        all_ = "big-provider, flaky, greylisting, overloaded or strict"
        for name, more in {"greylist": "; did you mean greylisting?", "gmail": "", "../x": ""}.items():
            error = self.assertRaises(ValueError, profile, name)
            self.assertEqual(str(error), f"--profile: {name!r} is not usable: expected {all_}{more}")

    def test_together(self):
        """
        Several go together, and with rules that come before theirs.
        """
        first = oneRule('on = "connect", do = { delay = 5 }')
        rules = combined([first, *map(profile, PROFILES)])
        self.assertEqual(named(rules, "connect")[0], "rule 1 (connect)")
        self.assertEqual(rules.decide("connect", facts(), 0.0).delay, 5)

    def test_width(self):
        """
        No line of a reply is longer than RFC 5321 section 4.5.3.1.5 has it, and codes go with their enhanced ones.
        """
        for name in PROFILES:
            for text in re.findall(r'"(\d{3}[ -][^"]*)"', profileText(name)):
                self.assertTrue(len(text) <= 510, text)
                self.assertEqual(text[0], re.match(r"\d{3}[ -](\d)\.\d{1,3}\.\d{1,3} ", text)[1], text)


class StrictTests(SynchronousTestCase):
    """
    A server that insists.
    """

    def test_refused(self):
        """
        What it refuses.
        """
        rules = profile("strict")
        self.assertEqual(code(rules, "helo", helo="LOCALHOST"), "550")
        self.assertEqual(code(rules, "mail"), "530")
        self.assertEqual(code(rules, "mail", tls=True, sender="me"), "553")
        self.assertEqual(code(rules, "rcpt", tls=True, recipient="unknown7@a.test"), "550")
        self.assertEqual(code(rules, "mail", tls=True, size=20_000_000), "552")
        self.assertEqual(rules.tarpit.closeAfter, 10)

    def test_taken(self):
        """
        What it takes.
        """
        rules = profile("strict")
        for step in ("connect", "helo", "mail", "rcpt", "data", "message"):
            self.assertFalse(applies(rules, step, tls=True, size=1000), step)
        self.assertFalse(applies(rules, "mail", tls=True, sender=""))
        self.assertFalse(applies(rules, "helo", helo="[192.0.2.1]"))


class OtherTests(SynchronousTestCase):
    """
    The other ones.
    """

    def test_greylisting(self):
        """
        Who comes back after five minutes is let through.
        """
        rules = profile("greylisting")
        self.assertEqual([code(rules, "rcpt", now) for now in (0, 299, 301)], ["451", "451", ""])

    def test_overloaded(self):
        """
        20 connections of one client, 100 messages a second after the first 20, and everything takes its time.
        """
        rules = profile("overloaded")
        for _ in range(21):
            rules.opened(facts())
        self.assertEqual(code(rules, "connect"), "421")
        rules.closed(facts())
        self.assertEqual(code(rules, "connect"), "")
        codes = [code(rules, "mail", number / 1000, sender=f"{number}@a.test") for number in range(1000)]
        self.assertTrue(110 < codes.count("") <= 120, codes.count(""))
        self.assertTrue(0 < rules.decide("message", facts(message="1"), 0.0).delay <= 60)

    def test_flaky(self):
        """
        Who tries again gets through in the end: no step is against somebody every time.
        """
        rules = profile("flaky")
        for step in ("connect", "helo", "starttls", "mail", "rcpt", "data", "message"):
            for number in range(200):
                some = {"client": f"192.0.2.{number}", "sender": f"{number}@a.test", "message": str(number)}
                fates = [rules.decide(step, facts(**some), 0.0) for _ in range(6)]
                usual = [fate is None or fate.split for fate in fates]
                self.assertTrue(any(usual), (step, number))

    def test_bigProvider(self):
        """
        Recipients who are what they are called, limits, and replies of several lines.
        """
        rules = profile("big-provider")
        for recipient, expected in {"unknown@a": "550", "full@a": "452", "blocked@a": "550", "me@a": ""}.items():
            self.assertEqual(code(rules, "rcpt", recipient=recipient), expected)
        codes = [code(rules, "rcpt", number / 100, recipient="busy@a") for number in range(100)]
        self.assertEqual(codes, [""] * 30 + ["450"] * 70)
        fate = [rules.decide("mail", facts(), 0.0) for _ in range(101)][-1]
        self.assertEqual((fate.reply.count(b"\r\n421"), fate.close), (2, True))
