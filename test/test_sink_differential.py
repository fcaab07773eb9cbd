"""
What our sink answers and dumps is what Postfix's C{smtp-sink} answers and dumps: each of its letters of faults and of
dumps, alone and with others, in SMTP and LMTP.

The texts of refusals are our own and are not compared, but for those that options give; their codes are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sinkdifferential import Step, normalizedFiles, normalizedReplies, ours, postfix, run, runBoth
from twisted.trial.unittest import SynchronousTestCase

#: The words that Postfix's letters take.
WORDS = (
    *("connect", "helo", "ehlo", "lhlo", "xclient", "xforward", "auth", "mail", "rcpt", "data", ".", "rset", "noop"),
    *("vrfy", "quit"),
)

PIPELINED = b"MAIL FROM:<second@example.com>\r\nRCPT TO:<d@example.com>\r\nDATA\r\n"
SECOND = b"Second\r\n.\r\n"

CONTENT = b"Subject: x\r\n\r\n.. dots\r\n...\r\ntext\r\n.\r\n"


def commands(text):
    """
    @return: a step for each command, C{|} between them.
    """
    return [Step(line.strip().encode() + b"\r\n") for line in text.split("|")]


def message(replies=1):
    """
    @param replies: to the content.
    @return: the steps of DATA.
    """
    return [Step(b"DATA\r\n"), Step(CONTENT, replies, after=b"354")]


SCRIPT = (
    *commands("HELO client.example.com|EHLO client.example.com|noop|NOOP there|VRFY x|RSET|AUTH PLAIN AGEAYQ=="),
    *commands("RCPT TO:<early@example.com>|DATA|MAIL FROM:<a@example.com>|MAIL FROM:<nested@example.com>"),
    *commands("XFORWARD NAME=x|RCPT TO:<b@example.com>|rcpt to:<c@example.com>"),
    *message(),
    Step(PIPELINED, 3),
    Step(SECOND, after=b"354"),
    *commands("MAIL FROM:<forgotten@example.com>|RCPT TO:<e@example.com>|RSET|FOO|QUIT"),
)

#: Each command once, waiting for each reply: while one is delayed, Postfix's goes on with the commands after it.
STEPWISE = (
    *commands("HELO client.example.com|EHLO client.example.com|NOOP|VRFY x|AUTH PLAIN AGEAYQ==|XFORWARD NAME=x"),
    *commands("MAIL FROM:<a@example.com>|RCPT TO:<b@example.com>"),
    *message(),
    *commands("RSET|QUIT"),
)

#: The content is not waited for.
ABORTED = (
    *commands("EHLO client.example.com|MAIL FROM:<a@example.com>|RCPT TO:<b@example.com>"),
    Step(b"DATA\r\n", 2),
    *commands("QUIT"),
)

#: Nothing that our sink does not know without EHLO.
PLAIN = (
    *commands("EHLO client.example.com|HELO client.example.com|NOOP|VRFY x|RSET|MAIL FROM:<a@example.com>"),
    *commands("RCPT TO:<b@example.com>"),
    *message(),
    *commands("QUIT"),
)

XCLIENT = tuple(commands("EHLO x|XCLIENT NAME=y|HELO x|QUIT"))

LMTP = (
    *commands("HELO no|EHLO no|LHLO client.example.com|NOOP|VRFY x|RSET|AUTH PLAIN AGEAYQ==|MAIL FROM:<a@example.com>"),
    *commands("RCPT TO:<b@example.com>|RCPT TO:<c@example.com>"),
    *message(2),
    *commands("MAIL FROM:<>|RCPT TO:<d@example.com>"),
    *message(),
    *commands("DATA|QUIT"),
)


@dataclass(frozen=True)
class Case:
    """
    One comparison.

    @ivar options: those of both sinks.
    @ivar script: what the client says.
    @ivar family: what the sinks listen on: C{"inet"}, C{"inet6"} or C{"unix"}.
    @ivar texts: replies that are compared as they are.
    @ivar slow: commands whose replies take a second at least.
    """

    options: tuple = ()
    script: tuple = SCRIPT
    family: str = "inet"
    texts: tuple = ()
    slow: tuple = ()


def _case(options="", *more, **others):
    return Case((*options.split(), *more), **others)


def _named(word):
    return {".": "Dot"}.get(word, word.capitalize())


def _ofWord(word):
    return {"xclient": XCLIENT, "lhlo": LMTP}.get(word, SCRIPT)


def _flagged(letter, name):
    """
    @return: a case for each word.
    """
    return {
        f"{name}{_named(word)}": _case(f"-{letter} {word}", *(["-L"] if word == "lhlo" else []), script=_ofWord(word))
        for word in WORDS
    }


def _lmtp(cases):
    return {
        f"{name}LMTP": Case((*case.options, "-L"), LMTP, case.family, case.texts, case.slow)
        for name, case in cases.items()
    }


def _delayed(words):
    """
    @param words: with the beginnings of the steps whose replies they delay.
    """
    return {
        f"delay{_named(word)}": _case(f"-W {word}:1", script=XCLIENT if word == "xclient" else STEPWISE, slow=(said,))
        for word, said in words.items()
    }


USUAL = {"noOptions": _case(), "noXFORWARD": _case("-F"), "xclient": _case(script=XCLIENT)}

REPLIES = {
    "hardReply": _case("-f mail -B", "550 5.7.1 no, thanks", texts=(b"550 5.7.1 no, thanks",)),
    "softReply": _case("-r rcpt -b", "421 4.3.2 later", texts=(b"421 4.3.2 later",)),
    "replyOnlyCode": _case("-r rcpt -b 451", texts=(b"451",)),
    "replyEscapes": _case("-r rcpt -b", "450 a\\nb", texts=(b"450 a\\nb",)),
    "replyUTF8": _case("-f data -B", "554 Grüße", texts=("554 Grüße".encode(),)),
    "replyConnect": _case("-r connect -b", "450 closed", texts=(b"450 closed",)),
    "bothReplies": _case("-r rcpt -f noop -b 450 -B 550", texts=(b"450", b"550")),
}

JOINED = {
    "hardBeforeSoft": _case("-f rcpt -r rcpt"),
    "hangUpBeforeHard": _case("-Q mail -f mail -r mail"),
    "dropBeforeHangUp": _case("-q mail -Q mail -f mail"),
    "allAtOnce": _case("-q data -Q data -f data -r data -s data -W data:1000"),
    "refusedNotDelayed": _case("-f rcpt -W rcpt:1000 -r data -w 1000"),
    "repeated": _case("-f noop -f vrfy -r rset -r noop"),
    "many": _case("-f noop,vrfy -r rset,helo -s mail,rcpt"),
    "list": _case("-f", " NOOP,, vrfy\tRset "),
    "allRefused": _case("-f", ",".join(WORDS)),
    "allDeferred": _case("-r", ",".join(WORDS)),
    "logged": _case("-s", ",".join(WORDS)),
    "loggedXCLIENT": _case("-s xclient", script=XCLIENT),
    "withoutESMTP": _case("-e -f noop", script=PLAIN),
}

PIX = {
    "pix": _case("-P", script=PLAIN),
    "pixRefused": _case("-P -f helo,ehlo", script=PLAIN),
    "pixHardConnect": _case("-P -f connect", script=PLAIN),
    "pixDelayed": _case("-P -w 1", script=PLAIN, slow=(b"DATA",)),
}

DELAYS = {
    "data": _case("-w 1", script=STEPWISE, slow=(b"DATA",)),
    "content": _case("-H 1", script=STEPWISE, slow=(CONTENT,)),
    "dataAgain": _case("-w 1000 -W data:1", script=STEPWISE, slow=(b"DATA",)),
    "oddsOf0": _case("-W noop:1:0", script=STEPWISE, slow=(b"NOOP",)),
    **_delayed(
        {
            "connect": b"",
            "helo": b"HELO",
            "ehlo": b"EHLO",
            "xclient": b"XCLIENT",
            "xforward": b"XFORWARD",
            "auth": b"AUTH",
            "mail": b"MAIL",
            "rcpt": b"RCPT",
            "data": b"DATA",
            ".": CONTENT,
            "rset": b"RSET",
            "noop": b"NOOP",
            "vrfy": b"VRFY",
            "quit": b"QUIT",
        }
    ),
    "someOfMany": _case("-W data:1 -W .:1 -f noop", script=STEPWISE, slow=(b"DATA", CONTENT)),
}

ABORTS = {
    "atOnce": _case("-A 0", script=ABORTED),
    "later": _case("-A 1", slow=(CONTENT,)),
    "laterInSilence": _case("-A 1", script=ABORTED, slow=(b"DATA",)),
    "dumped": _case("-A 0 -d m", script=ABORTED),
    "dataRefused": _case("-A 0 -f data"),
}

ABANDONED = (
    *commands("EHLO x|MAIL FROM:<a@example.com>|RCPT TO:<b@example.com>|DATA"),
    Step(b"half a message\r\n", 0),
)

DUMPS = {
    "each": _case("-d m"),
    "eachInDirectories": _case("-d a/b/%Y/"),
    "shared": _case("-D all"),
    "sharedInDirectories": _case("-D a/%Y/all"),
    "start": _case("-d m -S", r"\101\n\tz\\\q"),
    "startShared": _case("-D all -S", r"From x\n"),
    "hostname": _case("-d m -h sink.example.com"),
    "refused": _case("-d m -f ."),
    "deferredShared": _case("-D all -r ."),
    "dropped": _case("-d m -q ."),
    "hungUp": _case("-D all -Q ."),
    "recipientsRefused": _case("-d m -f rcpt"),
    "delayed": _case("-d m -W .:1", script=STEPWISE, slow=(CONTENT,)),
    "held": _case("-D all -H 1", script=STEPWISE, slow=(CONTENT,)),
    "abandoned": _case("-d m", script=ABANDONED),
    "abandonedShared": _case("-D all", script=ABANDONED),
    "inet6": _case("-d m", family="inet6"),
    "unix": _case("-D all", family="unix"),
    "ungreeted": _case("-d m", script=(*commands("MAIL FROM:<>|RCPT TO:<b@x>"), *message())),
    "helo": _case("-d m", script=(*commands("HELO  me and you |MAIL FROM: <a@x>|RCPT TO: <b@x>"), *message())),
    "pix": _case("-P -d m", script=PLAIN),
}

_LMTP_TOO = (
    {"noOptions": _case(), "noXFORWARD": _case("-F"), "data": _case("-w 1", slow=(b"DATA",))}
    | {
        "refusedDot": _case("-f ."),
        "deferredDot": _case("-r ."),
        "droppedDot": _case("-q ."),
        "hungUpDot": _case("-Q ."),
    }
    | {"refusedRcpt": _case("-f rcpt"), "refusedLHLO": _case("-f lhlo"), "deferredLHLO": _case("-r lhlo")}
    | {"delayedDot": _case("-W .:1", slow=(CONTENT,)), "each": _case("-d m"), "shared": _case("-D all -S", r"\n")}
    | {"later": _case("-A 1", slow=(CONTENT,)), "content": _case("-H 1", slow=(CONTENT,)), "logged": _case("-s lhlo,.")}
    | {"reply": _case("-f . -B", "552 5.2.2 full", texts=(b"552 5.2.2 full",))}
)


def compared(*cases):
    """
    @return: what gives a class a test method for each case.
    """

    def decorate(class_):
        for name, case in [item for some in cases for item in some.items()]:

            def test(self, case=case):
                self.compare(case)

            method = f"test_{name}"
            assert not hasattr(class_, method), method
            test.__name__ = method
            test.__doc__ = f"C{{{' '.join(case.options) or 'no options'}}}, {case.family}"
            setattr(class_, method, test)
        return class_

    return decorate


class Comparison(SynchronousTestCase):
    """
    Runs the client against both sinks.
    """

    maxDiff = None

    def compare(self, case):
        """
        Fail if our sink answers something else than Postfix's, or dumps something else; or if a delay of either is
        too short.
        """
        outcomes = runBoth(case.options, case.script, family=case.family)
        expected, actual = (normalizedReplies(case.script, outcome, case.texts) for outcome in outcomes)
        self.assertEqual(expected, actual)
        expected, actual = map(normalizedFiles, outcomes)
        self.assertEqual(expected, actual)
        for outcome in outcomes:
            for said in case.slow:
                self.assertGreater(self.seconds(case.script, outcome, said), 0.95, said)

    def seconds(self, script, outcome, said):
        """
        @return: how long the first reply took to something that was said; to nothing it is the banner.
        """
        texts = [b"", *(step.said for step in script)]
        indices = [0] if not said else [index for index, text in enumerate(texts) if text.startswith(said)]
        return max(outcome.times[index] for index in indices)


@compared(USUAL, REPLIES, PIX, ABORTS)
class UsualTests(Comparison):
    """
    What refuses nothing, or in words that are given.
    """


@compared(_flagged("f", "hard"), _flagged("r", "soft"))
class RefusalTests(Comparison):
    """
    Each word refused.
    """


@compared(_flagged("q", "drop"), _flagged("Q", "hangUp"))
class EndTests(Comparison):
    """
    The connection closed at each word.
    """


@compared(JOINED)
class JoinedTests(Comparison):
    """
    Letters with each other.
    """


@compared(DELAYS)
class DelayTests(Comparison):
    """
    Replies that wait.
    """


@compared(DUMPS)
class DumpTests(Comparison):
    """
    Messages that are dumped, and those that are not.
    """

    def test_root(self):
        """
        With another root directory dumps are in there, if somebody may change it.
        """
        steps = [*commands("MAIL FROM:<>|RCPT TO:<b@x>"), *message()]
        outcomes = [
            run(kind, ["-D", "all", "-R", "root", *user], steps, directories=["root"])
            for kind, user in [(postfix(), []), (ours(), ["-u", "nobody"])]
        ]
        expected, actual = map(normalizedFiles, outcomes)
        self.assertEqual(expected, actual)
        self.assertEqual([os.path.join("root" if os.geteuid() == 0 else "", "all")], [name for name, _ in actual])


@compared(_lmtp(_LMTP_TOO))
class LMTPTests(Comparison):
    """
    A selection of all that in LMTP.
    """
