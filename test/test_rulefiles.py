"""
Tests for L{smtpsource.sink.rules.written}: what people write, and what they are told if it is not usable.
"""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

from hypothesis import strategies as st
from properties import given
from rulesets import facts, named, oneRule, ruleSet
from subprocesses import ROOT
from textfiles import writeFile
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.sink.rules import actions, conditions, greylist, rule, ruleset, tarpit
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.rules.written import PROFILES, fromExpressions, fromFile, fromTOML

#: As the documentation has it.
EXAMPLE = """\
seed = 7
[[rule]]
on = "rcpt"
when = { recipient = "*@slow.test" }
chance = "20%"
do = { reply = "451 4.7.1 come back" }
[[rule]]
on = "mail"
when = { sender = "*@first3.test" }
times = 3
do = { reply = "421 4.3.2 closing", close = true }
[[rule]]
on = "rcpt"
limit = "50/s"
per = "all"
do = { reply = "450 4.7.0 too fast" }
[[rule]]
on = "message"
do = { delay = "300ms" }
"""

STEPS = "connect, helo, starttls, auth, mail, rcpt, data, content, message, rset, noop or quit"
ACTIONS = (
    "reply, texts, garble, stall, close, reset, tls-fail, accept-but-lose, reject-but-keep, duplicate, corrupt, "
    "delay, stutter, throttle or split"
)
DELAYS = (
    'expected a time, such as "300ms", { uniform = ["100ms", "2s"] } or '
    '{ lognormal = { median = "200ms", sigma = 0.5, max = "10s" } }'
)
CLIENTS = (
    "expected an address such as 192.0.2.1, a network such as 192.0.2.0/24 or 2001:db8::/32, a glob such as "
    "192.0.*, or local for UNIX sockets"
)
GLOBS = "expected a glob: '*' is any text, '?' any character, '[ab]' one of these; for the bracket itself '[[]'"
COME_BACK = '"451 4.7.1 come back"'

#: Rules, all in one line and without braces, and what is said of each.
WRONG_RULES = {
    # Steps.
    "do = { close = true }": "no 'on': expected one, such as on = \"rcpt\"",
    "on = 'rctp', do = { close = true }": f"on: 'rctp' is not usable: expected {STEPS}; did you mean rcpt?",
    "on = 'xyzzy', do = { close = true }": f"on: 'xyzzy' is not usable: expected {STEPS}",
    "on = 3, do = { close = true }": f"on: 3 is not usable: expected {STEPS}",
    "on = [], do = { close = true }": f"on: expected at least one of {STEPS}",
    "on = ['mail', 'RCPT'], do = { close = true }": (
        f"on[2]: 'RCPT' is not usable: expected {STEPS}; did you mean rcpt?"
    ),
    # Keys.
    "on = 'rcpt', tims = 3, do = { close = true }": (
        "tims: no such key: expected on, when, chance, times, every, limit, connections, per, burst, name or do; "
        "did you mean times?"
    ),
    "on = 'rcpt', name = '', do = { close = true }": (
        "name: '' is not usable: expected a text of 1 to 100 printable characters"
    ),
    "on = 'rcpt', name = 'greylist', do = { close = true }": (
        "name: 'greylist' is not usable: expected another name: this one is that of a table"
    ),
    # To whom.
    "on = 'rcpt', when = 'x', do = { close = true }": (
        "when: 'x' is not usable: expected a table, such as when = { recipient = \"*@slow.test\" }"
    ),
    "on = 'rcpt', when = { recipent = 'x' }, do = { close = true }": (
        "when.recipent: no such key: expected client, domain, helo, recipient, sender, size-above, size-below, tls or "
        "user; did you mean recipient?"
    ),
    "on = 'mail', when = { recipient = 'x' }, do = { close = true }": (
        "when.recipient: it is not known at mail, so this rule could never apply: expected a rule on rcpt, "
        "data, content, "
        "message, rset, noop or quit"
    ),
    "on = ['rcpt', 'connect'], when = { helo = 'x' }, do = { close = true }": (
        "when.helo: it is not known at connect, so this rule could never apply: expected a rule on helo, "
        "starttls, auth, "
        "mail, rcpt, data, content, message, rset, noop or quit"
    ),
    "on = 'rcpt', when = { sender = 3 }, do = { close = true }": (
        "when.sender: 3 is not usable: expected a text, or a list of texts"
    ),
    "on = 'rcpt', when = { sender = [] }, do = { close = true }": (
        "when.sender: a list is not usable: expected more than an empty list"
    ),
    "on = 'rcpt', when = { sender = ['a', '[b'] }, do = { close = true }": (
        f"when.sender[2]: '[b' is not usable: {GLOBS}"
    ),
    "on = 'rcpt', when = { sender = '[z-a]*' }, do = { close = true }": (
        "when.sender: '[z-a]*' is not usable: expected a range from low to high in '[z-a]', such as '[a-z]'"
    ),
    "on = 'rcpt', when = { sender = 'a@[192.0.2.1]' }, do = { close = true }": (
        "when.sender: 'a@[192.0.2.1]' is not usable: expected '@[[]192.0.2.1]' for an address literal: '[' begins a "
        "choice of characters"
    ),
    "on = 'rcpt', when = { client = '192.0.2' }, do = { close = true }": (
        f"when.client: '192.0.2' is not usable: {CLIENTS}"
    ),
    "on = 'rcpt', when = { client = '192.0.2.1/24' }, do = { close = true }": (
        "when.client: '192.0.2.1/24' is not usable: expected a network such as 192.0.2.0/24, not an address in it"
    ),
    "on = 'rcpt', when = { tls = 'yes' }, do = { close = true }": (
        "when.tls: 'yes' is not usable: expected true or false"
    ),
    "on = 'rcpt', when = { size-above = '10x' }, do = { close = true }": (
        "when.size-above: '10x' is not usable: expected a size in bytes of at least 1, such as 4096, 10k or 1m"
    ),
    "on = 'rcpt', when = { size-above = 10, size-below = 11 }, do = { close = true }": (
        "when.size-below: no size is between: expected one of at least 12 bytes"
    ),
    # How often.
    "on = 'rcpt', chance = '20', do = { close = true }": (
        "chance: '20' is not usable: expected a share from '0%' to '100%', or from 0 to 1, such as '5%' or 0.05"
    ),
    "on = 'rcpt', chance = 20, do = { close = true }": (
        "chance: 20 is not usable: expected a share from '0%' to '100%', or from 0 to 1, such as '5%' or 0.05"
    ),
    "on = 'rcpt', chance = '5%', times = 3, do = { close = true }": (
        "times: chance and times exclude each other: expected one of them"
    ),
    "on = 'rcpt', times = 0, do = { close = true }": (
        "times: 0 is not usable: expected a whole number from 1 to 2147483647"
    ),
    "on = 'rcpt', every = '10', do = { close = true }": (
        "every: '10' is not usable: expected a whole number from 1 to 2147483647"
    ),
    "on = 'rcpt', limit = '200 per second', do = { close = true }": (
        "limit: '200 per second' is not usable: expected a rate such as 500/s, 30/m or 10/h (a number alone "
        "is per second)"
    ),
    "on = 'rcpt', limit = '200/s', burst = 0, do = { close = true }": (
        "burst: 0 is not usable: expected a whole number from 1 to 2147483647"
    ),
    "on = 'rcpt', burst = 5, do = { close = true }": (
        "burst: it is about a limit: expected limit with it, such as limit = '200/s'"
    ),
    "on = 'rcpt', chance = '5%', per = 'client', do = { close = true }": (
        "per: there is nothing to count: expected times, every, limit or connections with it"
    ),
    "on = 'rcpt', times = 1, per = 'host', do = { close = true }": (
        "per: 'host' is not usable: expected client, domain, sender, recipient, message or all"
    ),
    "on = 'mail', times = 1, per = 'recipient', do = { close = true }": (
        "per: it is not known at mail, so this rule could never apply: expected a rule on rcpt, data, "
        "content, message, "
        "rset, noop or quit"
    ),
    "on = 'connect', connections = 20, per = 'sender', do = { close = true }": (
        "per: 'sender' is not usable: expected client or all"
    ),
    # What is done.
    "on = 'rcpt'": f"no 'do': expected what is to be done, such as do = {{ reply = {COME_BACK} }}",
    "on = 'rcpt', do = {}": f"do: expected what is to be done, such as do = {{ reply = {COME_BACK} }}",
    "on = 'rcpt', do = '451 no'": (
        f"do: '451 no' is not usable: expected a table, such as do = {{ reply = {COME_BACK} }}"
    ),
    "on = 'rcpt', do = { dely = 1 }": f"do.dely: no such key: expected {ACTIONS}; did you mean delay?",
    "on = 'rcpt', do = { close = 'yes' }": "do.close: 'yes' is not usable: expected true, or no such key",
    "on = 'rcpt', do = { close = false }": "do.close: false is not usable: expected true, or no such key",
    "on = 'rcpt', do = { reply = 'come back' }": (
        f"do.reply: 'come back' is not usable: expected a code of three digits and a text, such as {COME_BACK}"
    ),
    "on = 'rcpt', do = { reply = 451 }": (
        f"do.reply: 451 is not usable: expected a code of three digits and a text, such as {COME_BACK}"
    ),
    "on = 'rcpt', do = { reply = '45 no' }": (
        f"do.reply: '45 no' is not usable: expected a code of three digits and a text, such as {COME_BACK}"
    ),
    "on = 'rcpt', do = { reply = '199 no' }": (
        f"do.reply: '199 no' is not usable: expected a code from 200 to 559, such as {COME_BACK}"
    ),
    "on = 'rcpt', do = { reply = '499 no' }": (
        f"do.reply: '499 no' is not usable: expected a code from 200 to 559, such as {COME_BACK}"
    ),
    "on = 'rcpt', do = { reply = '354 go on' }": "do.reply: 354 is no reply to rcpt: expected 2xx, 4xx or 5xx",
    "on = 'data', do = { reply = '250 ok' }": "do.reply: 250 is no reply to data: expected 354, 4xx or 5xx",
    "on = 'rcpt', do = { reply = \"451 a\\nb\" }": (
        "do.reply: '451 a\\nb' is not usable: expected a text without line ends or NUL bytes"
    ),
    "on = 'rcpt', do = { reply = [] }": f"do.reply: expected at least one line, such as [{COME_BACK}]",
    "on = 'rcpt', do = { reply = ['451 a', '450 b'] }": (
        "do.reply[2]: 450 is not usable: expected 451, as in the first line of the reply"
    ),
    "on = 'rcpt', do = { texts = '451 a' }": (
        f"do.texts: expected a list of replies, such as [{{ text = {COME_BACK}, weight = 2 }}]"
    ),
    "on = 'rcpt', do = { texts = [{ text = '451 a' }, { weight = 2 }] }": (
        f"do.texts[2]: no 'text': expected one, such as {COME_BACK}"
    ),
    "on = 'rcpt', do = { texts = [{ text = '451 a', weight = 0 }] }": (
        "do.texts[1].weight: 0 is not usable: expected a number of more than 0"
    ),
    "on = 'rcpt', do = { delay = 'long' }": f"do.delay: 'long' is not usable: {DELAYS}",
    "on = 'rcpt', do = { delay = { unifrom = [1, 2] } }": (
        "do.delay.unifrom: no such key: expected uniform or lognormal; did you mean uniform?"
    ),
    "on = 'rcpt', do = { delay = { uniform = [2, 1] } }": (
        'do.delay.uniform: expected the least before the most, such as ["100ms", "2s"]'
    ),
    "on = 'rcpt', do = { delay = { uniform = ['1s', 'x'] } }": (
        "do.delay.uniform[2]: 'x' is not usable: expected a time such as 30s, 500ms or 1h30m (a number alone "
        "is seconds)"
    ),
    "on = 'rcpt', do = { delay = { lognormal = { median = 1 } } }": (
        "do.delay.lognormal: no 'sigma': expected one, such as 0.5"
    ),
    "on = 'rcpt', do = { delay = { lognormal = { median = 1, sigma = 1, max = '500ms' } } }": (
        "do.delay.lognormal.max: expected at least the median, 1 s"
    ),
    "on = 'rcpt', do = { stutter = 'slow' }": (
        "do.stutter: 'slow' is not usable: expected bytes a second, such as 10, 0.5 or '10k'"
    ),
    "on = 'rcpt', do = { reply = '451 a', stall = true }": (
        "do.stall: reply and stall exclude each other: expected one of them"
    ),
    "on = 'rcpt', do = { close = true, reset = true }": (
        "do.reset: close and reset exclude each other: expected one of them"
    ),
    "on = 'message', do = { duplicate = true, corrupt = true }": (
        "do.corrupt: duplicate and corrupt exclude each other: expected one of them"
    ),
    "on = 'message', do = { duplicate = true, close = true }": (
        "do.close: duplicate and close exclude each other: expected one of them"
    ),
    "on = 'rcpt', do = { close = true, split = true }": (
        "do.split: nothing is sent here: expected a reply or garble with it"
    ),
    "on = 'rcpt', do = { duplicate = true }": "do.duplicate: not usable at rcpt: expected it in a rule on message",
    "on = 'rcpt', do = { tls-fail = true }": (
        "do.tls-fail: not usable at rcpt: expected it in a rule on connect or starttls"
    ),
    "on = 'content', do = { reply = '451 a' }": (
        "do.reply: not usable at content, which has no reply: expected delay, throttle, stall, close or reset"
    ),
    "on = 'message', do = { reject-but-keep = true, reply = '250 ok' }": (
        "do.reply: 250 is no reply of reject-but-keep: expected 4xx or 5xx"
    ),
    "on = 'message', do = { accept-but-lose = true, texts = [{ text = '451 a' }] }": (
        "do.texts: 451 is no reply of accept-but-lose: expected 2xx"
    ),
}

#: Files, and what is said of each.
WRONG_FILES = {
    "seed = -1": "line 1: seed: -1 is not usable: expected a whole number from 0 to 2147483647",
    "\nrules = []": "line 2: rules: no such key: expected seed, rule, greylist or tarpit; did you mean rule?",
    "[rule]\non = 'rcpt'": "line 1: rule: a table is not usable: expected [[rule]], or a list of tables",
    "rule = [3]": (
        f'line 1: rule 1: 3 is not usable: expected a table, such as {{ on = "rcpt", do = {{ reply = {COME_BACK} }} }}'
    ),
    "rule = [\n{ on = 'rcpt', do = { close = 1 } }\n]": (
        "line 1: rule 1: do.close: 1 is not usable: expected true, or no such key"
    ),
    EXAMPLE.replace('"message"', '"mesage"'): (
        f"line 18: rule 4: on: 'mesage' is not usable: expected {STEPS}; did you mean message?"
    ),
    "# A comment\n\n[[rule]] # the first\non = 'rcpt'\n[rule.do]\nreply = [\n'451 a',\n'450 b']\n": (
        "line 6: rule 1: do.reply[2]: 450 is not usable: expected 451, as in the first line of the reply"
    ),
    "[[rule]]\r\non = 'rcpt'\r\ndo.close = true\r\n\r\n[[rule]]\r\non = 'mail'\r\n\"do\".'close' = 1\r\n": (
        "line 7: rule 2: do.close: 1 is not usable: expected true, or no such key"
    ),
    "[[rule]]\nname = '''a = 1\n[[rule]]\n'''\non = 'x'\n": (
        "line 2: rule 1: name: 'a = 1\\n[[rule]]\\n' is not usable: expected a text of 1 to 100 printable characters"
    ),
    "[[rule]]\non = 'rcpt'\ndo = { close = true }\n[[rule]]\non = 'rcpt'\ndo = { delay = 1 }\n": (
        "line 4: rule 2: it could never apply: expected it before 'rule 1 (rcpt)', which applies to all that "
        "comes at rcpt"
    ),
    "[[rule]]\nname = 'a'\non = 'rcpt'\ndo = { delay = 1 }\n[[rule]]\non = 'rcpt'\nname = 'a'\ndo = { delay = 1 }\n": (
        "line 7: rule 2: name: 'a' is the name of another rule: expected one of its own"
    ),
    "[greylist]\nkey = ['client', 'helo']": (
        "line 2: greylist.key[2]: 'helo' is not usable: expected client, sender or recipient"
    ),
    "[greylist]\nkey = 'all'": (
        'line 2: greylist.key: expected "triplet", or a list of its parts, such as ["client", "sender", "recipient"]'
    ),
    "[greylist]\ndelay = '2h'\nwindow = '1h'": "line 3: greylist.window: expected a window longer than the delay",
    "[greylist]\nreply = '250 ok'": "line 2: greylist.reply: 250 is no refusal: expected 4xx or 5xx",
    "[greylist]\nlist = 1": (
        "line 2: greylist.list: no such key: expected key, delay, window, auto-whitelist or reply"
    ),
    "greylist = true": ('line 1: greylist: true is not usable: expected a table, such as [greylist] with delay = "5m"'),
    "[tarpit]\n\nafter = 'three'": (
        "line 3: tarpit.after: 'three' is not usable: expected a whole number from 0 to 2147483647"
    ),
    "[tarpit]\ndelay = 10\nmax = 5": "line 3: tarpit.max: expected at least the delay, 10 s",
    "[tarpit]\nreply = '250 ok'": "line 2: tarpit.reply: 250 is no refusal: expected 4xx or 5xx, such as 421",
}


#: Anything, of keys that mean something somewhere.
KEYS = (
    *("rule", "on", "do", "when", "chance", "reply", "texts", "text", "delay", "uniform", "lognormal", "median"),
    *("greylist", "key", "tarpit", "client", "sender", "limit", "per", "seed", "name"),
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["rcpt", "5%"])
)
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


class WrongTests(SynchronousTestCase):
    """
    One line for whoever has written something that is not usable: where, what, and what would be right.
    """

    def test_rules(self):
        """
        Each thing that can be wrong with a rule, told of a command line and of a file.
        """
        for text, expected in WRONG_RULES.items():
            error = self.assertRaises(ValueError, oneRule, text)
            self.assertEqual(str(error), f"--rule 1: {expected}", text)
            error = self.assertRaises(ValueError, fromTOML, f"rule = [{{ {text} }}]", "rules.toml")
            self.assertEqual(str(error), f"rules.toml, line 1: rule 1: {expected}", text)

    def test_files(self):
        """
        Files have lines, and more than rules.
        """
        for text, expected in WRONG_FILES.items():
            error = self.assertRaises(ValueError, fromTOML, text, "rules.toml")
            self.assertEqual(str(error), f"rules.toml, {expected}", text)

    def test_noTOML(self):
        """
        What is no TOML, or too much of it.
        """
        for text, expected in {
            "[[rule]]\non rcpt": "rules.toml, line 2, column 4: expected TOML: ",
            "x = [": "rules.toml, end of document: expected TOML: ",
            ".".join("x" * 100) + " = 1": "rules.toml: expected keys with fewer dots",
            "x = " + "[" * 10000: "rules.toml: expected TOML with fewer brackets in brackets",
        }.items():
            error = self.assertRaises(ValueError, fromTOML, text, "rules.toml")
            self.assertTrue(str(error).startswith(expected), str(error))

    def test_unreadable(self):
        """
        Files that can't be read.
        """
        error = self.assertRaises(ValueError, fromFile, "no/rules.toml")
        self.assertEqual(
            str(error), "'no/rules.toml' is not usable: expected a readable file: No such file or directory"
        )
        path = writeFile(self, b"# \xe4\n")
        error = self.assertRaises(ValueError, fromFile, path)
        self.assertEqual(str(error), f"{path}, line 1: expected UTF-8")

    def test_expressions(self):
        """
        A text that is no inline table; of several, the one that is meant is counted.
        """
        example = f'such as on = "rcpt", chance = "5%", do = {{ reply = {COME_BACK} }}'
        right = "on = 'rcpt', do = { close = true }"
        for text, place in {
            "on = rcpt": ", at character 6",
            "{ on = rcpt }": ", at character 8",
            "{ on = 'rcpt'": "",
        }.items():
            error = str(self.assertRaises(ValueError, fromExpressions, [right, text]))
            self.assertTrue(error.startswith("--rule 2: expected TOML: "), error)
            self.assertTrue(error.endswith(f"{place}; a rule is {example}"), error)
        error = self.assertRaises(ValueError, fromExpressions, [right, f"{{ {right} }}\nx = 1"])
        self.assertEqual(str(error), f"--rule 2: expected one rule, {example}")
        named = "on = 'rcpt', name = 'a', do = { close = true }"
        error = self.assertRaises(ValueError, fromExpressions, [named, named])
        self.assertEqual(str(error), "--rule 2: name: 'a' is the name of another rule: expected one of its own")

    def test_documents(self):
        """
        What comes as JSON has no lines, and other values than TOML.
        """
        example = f'{{ rule = [{{ on = "rcpt", do = {{ reply = {COME_BACK} }} }}] }}'
        error = self.assertRaises(ValueError, RuleSet.fromDict, "x")
        self.assertEqual(str(error), f"'x' is not usable: expected a table, such as {example}")
        error = self.assertRaises(ValueError, RuleSet.fromDict, {"rule": None})
        self.assertEqual(str(error), "rule: null is not usable: expected [[rule]], or a list of tables")
        document = {"rule": [{"on": "rcpt", "do": {"delay": float("nan")}}]}
        error = self.assertRaises(ValueError, RuleSet.fromDict, document, "request")
        self.assertEqual(str(error), f"request: rule 1: do.delay: nan is not usable: {DELAYS}")

    @given(DOCUMENTS)
    def test_anything(self, document):
        """
        Whatever it is, it is usable or there is one line about it.
        """
        for made in (
            document,
            {"rule": [{"on": "rcpt", "do": document}]},
            {"rule": [document]},
            {"greylist": document},
        ):
            try:
                RuleSet.fromDict(made)
            except ValueError as e:
                self.assertEqual(len(str(e).splitlines()), 1, str(e))

    @given(st.lists(st.sampled_from([*EXAMPLE, "[[rule]]\n", "'''", '"""', "#", "\r\n", "{", "x = 1\n"]), max_size=30))
    def test_anyText(self, pieces):
        """
        The same of texts, cut anywhere.
        """
        for text in ("".join(pieces), EXAMPLE[: 10 * len(pieces)] + "".join(pieces)):
            try:
                fromTOML(text, "rules.toml")
            except ValueError as e:
                self.assertEqual(len(str(e).splitlines()), 1, str(e))


class DocumentationTests(SynchronousTestCase):
    """
    What docs/rules.rst has.
    """

    def setUp(self):
        self.text = (ROOT / "docs" / "rules.rst").read_text("utf-8")

    def test_examples(self):
        """
        All of its examples can be used.
        """
        blocks = [dedent(block) for block in re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", self.text)]
        files = [block for block in blocks if not block.startswith("smtpsink")]
        for text in files:
            fromTOML(text, "docs/rules.rst")
        self.assertEqual(EXAMPLE, "\n".join(filter(None, files[0].splitlines()[1:])) + "\n")
        for command in set(blocks) - set(files):
            words = shlex.split(command)
            fromExpressions([text for option, text in pairwise(words) if option == "--rule"])
        self.assertTrue(len(files) > 15, len(files))

    def test_keys(self):
        """
        Each key of a rule, each thing that can be done and each table has a section; each condition is told of.
        """
        sections = set(re.findall(r"^(.+)\n-+$", self.text, re.MULTILINE))
        self.assertEqual({*rule.KEYS, *actions.KEYS, *ruleset.KEYS} - {"rule"}, sections)
        for key in (*conditions.KEYS, *greylist.KEYS, *tarpit.KEYS):
            self.assertTrue(re.search(rf"^``(.*, ``)?{key}``", self.text, re.MULTILINE), key)

    def test_profiles(self):
        """
        Each profile is told of.
        """
        self.assertEqual(
            sorted(re.findall(r"^``(.*)``$", self.text.partition("\nProfiles\n")[2], re.MULTILINE)), [*PROFILES]
        )


class RightTests(SynchronousTestCase):
    """
    What is usable.
    """

    def test_example(self):
        """
        The file of the documentation.
        """
        rules = ruleSet(EXAMPLE)
        self.assertEqual(rules.decide("message", facts(), 0.0).delay, 0.3)
        self.assertEqual(rules.seed, 7)
        self.assertEqual(rules.rules[0].name, "rule 1 (rcpt)")

    def test_file(self):
        """
        A file with a byte order mark.
        """
        path = writeFile(self, b"\xef\xbb\xbf" + EXAMPLE.encode())
        self.assertEqual(fromFile(path).asDict(), ruleSet(EXAMPLE).asDict())

    def test_expressions(self):
        """
        With braces or without.
        """
        one = "on = 'rcpt', do = { close = true }"
        for text in (one, f"{{ {one} }}", f"  {{{one}}} "):
            self.assertEqual(named(fromExpressions([text]), "rcpt"), ("rule 1 (rcpt)",))

    def test_empty(self):
        """
        Nothing at all is a set without rules.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"")
        for rules in (fromFile(str(path)), fromExpressions([]), RuleSet.fromDict({})):
            self.assertEqual(rules.asDict(), {"rule": []})
