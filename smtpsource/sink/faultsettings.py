"""
What of a sink's plan makes it do other than take everything: the letters of Postfix's tool, rules, limits of a client.
"""

from __future__ import annotations

from smtpsource.sink import letters
from smtpsource.sink.rules import PROFILES
from smtpsource.values import checks, kinds, names, textfiles
from smtpsource.values.kinds import Kind
from smtpsource.values.option import Settings, option, switch


def _commandsGiven(value: object) -> tuple[str, ...]:
    """
    Those of one option, or of several.
    """
    if isinstance(value, str):
        return (letters.command(value.lower()),)
    if not isinstance(value, list | tuple):
        raise ValueError("expected a sequence of texts, such as ('rcpt',)")
    return tuple(word for each in value for word in _commandsGiven(each))


_commands = Kind(letters.commands, _commandsGiven)


def _wait(value: object) -> letters.Wait:
    if isinstance(value, letters.Wait):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a text such as 'data:2s'")
    return letters.wait(value)


# What is wrong with a rule or a name is told when all rules are read.
_texts = Kind(str, checks.tupleOf(checks.text(str), "texts"))
_profiles = Kind(names.Worded(PROFILES, str), _texts.check)


class Faults(Settings):
    """
    @ivar fail: commands that are refused for good; one of these, or of C{defer}, and PIPELINING is not offered.
    @ivar defer: commands that are refused for now.
    @ivar hardReply: the reply to those of C{fail}.
    @ivar softReply: the reply to those of C{defer}.
    @ivar drop: commands at which the connection is closed without a reply.
    @ivar hangUp: commands at which it is closed with a 421.
    @ivar delayReply: delays of replies, as texts C{COMMAND:TIME} or C{COMMAND:TIME:ODDS}.
    @ivar delayData: seconds until DATA is answered.
    @ivar delayContent: seconds after that until anything is read.
    @ivar abort: seconds after which the content is answered by a 550, not having been read, and the connection closed.
    @ivar pix: the banner is one that a firewall has made unreadable, and EHLO is not known.
    @ivar syslog: commands that are written to the system's log.
    @ivar ruleFiles: files of rules.
    @ivar ruleTexts: rules, each as a text; they come before those of files.
    @ivar profiles: names of sets of rules that are in the package; they come last.
    """

    heading = "Faults"

    fail: tuple[str, ...] = option(
        "COMMANDS", _commands, "refuse these commands for good", letter="f", repeated=True, default=()
    )
    defer: tuple[str, ...] = option(
        "COMMANDS", _commands, "refuse these commands for now", letter="r", repeated=True, default=()
    )
    hardReply: str = option("REPLY", kinds.text(letters.hardReply), "what -f answers", letter="B", default=letters.HARD)
    softReply: str = option("REPLY", kinds.text(letters.softReply), "what -r answers", letter="b", default=letters.SOFT)
    drop: tuple[str, ...] = option(
        "COMMANDS", _commands, "close the connection at these, without a reply", letter="q", repeated=True, default=()
    )
    hangUp: tuple[str, ...] = option(
        "COMMANDS", _commands, "close the connection at these, with a 421", letter="Q", repeated=True, default=()
    )
    delayReply: tuple[letters.Wait, ...] | tuple[str, ...] = option(
        "DELAY",
        Kind(letters.wait, checks.tupleOf(_wait, "texts, such as ('data:2s',)")),
        "COMMAND:TIME: delay replies to this command; with :ODDS (1-99), TIME for each draw of 0-99 below it in a row",
        letter="W",
        repeated=True,
        default=(),
    )
    delayData: float | None = option("TIME", kinds.time, "delay the reply to DATA", letter="w", default=None)
    delayContent: float | None = option(
        "TIME", kinds.time, "read nothing for so long after that reply", letter="H", default=None
    )
    abort: float | None = option(
        "TIME",
        kinds.timeOrZero,
        "after that reply read nothing, wait, say 550 and close",
        letter="A",
        default=None,
    )
    pix: bool = switch("a banner that a firewall has made unreadable; EHLO is not known", letter="P", default=False)
    syslog: tuple[str, ...] = option(
        "COMMANDS", _commands, "write these commands to the system's log", letter="s", repeated=True, default=()
    )
    ruleFiles: tuple[str, ...] = option(
        "FILE",
        Kind(textfiles.settingsFile, checks.tupleOf(checks.readableFile, "names of files")),
        "rules of what goes wrong, and for whom, in TOML",
        long="rules",
        repeated=True,
        default=(),
    )
    ruleTexts: tuple[str, ...] = option(
        "RULE",
        _texts,
        """such as 'on = "rcpt", chance = "10%", do = { reply = "450 4.2.0 try again" }'""",
        long="rule",
        repeated=True,
        default=(),
    )
    profiles: tuple[str, ...] = option(
        "NAME",
        _profiles,
        "strict, greylisting, overloaded, flaky or big-provider: rules that are in the package",
        long="profile",
        repeated=True,
        default=(),
    )
