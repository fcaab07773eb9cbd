"""
Command lines that say what a plan says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted.python import usage

from smtpsource.cli.commandline import OTHER, CommandLine, Exclusion, fullName
from smtpsource.values.option import Flag, Setting, Unusable, ValueOption, headings, made, optionsOf, settingsOf
from smtpsource.values.rules import Contradiction, OneOf, isSet, valueOf

#: What stands for the destination where options are named; in a scenario, the one key that is no option.
DESTINATION = "destination"


class PlanOptions(CommandLine):
    """
    The options that a plan's settings declare, and a plan made of them.

    @cvar settingsOf: the settings by their paths.
    @cvar planClass: the plan's class: see L{smtpsource.values.option}.
    @ivar said: what the destination says by its scheme, by the names of settings.
    """

    planClass: ClassVar[type]
    settingsOf: ClassVar[Mapping[str, Setting]]

    def __init_subclass__(cls) -> None:
        cls.groups = (*optionsOf(cls.planClass), OTHER)
        cls.settingsOf = settingsOf(cls.planClass)
        rivals = []
        for setting in cls.settingsOf.values():
            flags = [flag for flag in setting.options if isinstance(flag, Flag) and flag.method]
            for flag in flags:
                method = _counting(flag) if len(flags) == 1 else _lastOne(setting.path, flag)
                for name in filter(None, (flag.long, flag.short)):
                    setattr(cls, f"opt_{name}", method)
            if len(flags) > 1:
                rivals.append([flag.long for flag in flags])
        cls.rivals = rivals
        super().__init_subclass__()

    def __init__(self) -> None:
        super().__init__()
        self.said: Mapping[str, Any] = {}
        for setting in self.settingsOf.values():
            methods = [flag for flag in setting.options if isinstance(flag, Flag) and flag.method]
            if methods:
                self[methods[0].long if len(methods) == 1 else setting.path] = setting.default

    def checkOneOfs(self) -> None:
        """
        Of some options only one can be given; for the beginning of C{postOptions}, when their values are still texts.
        """
        for group in headings(self.planClass):
            for rule in group.rules:
                if isinstance(rule, OneOf):
                    self.oneOf(*(self.settingsOf[path].options[0].long for path in rule.paths))

    def newPlan(self, **more: Any) -> Any:
        """
        The plan that these options say.

        @param more: what no option says, or says otherwise.
        @raise usage.UsageError: options contradict each other.
        @raise ValueError: something else is wrong with it.
        """
        values = {path: value for path, setting in self.settingsOf.items() for value in self._values(setting)}
        try:
            return made(self.planClass, {**values, **more})
        except Unusable as e:
            options = self.settingsOf[e.path].options
            if not options:
                raise
            isSecret = isinstance(options[0], ValueOption) and options[0].secret
            shown = "what was given" if isSecret else repr(self.texts[options[0].long])
            raise usage.UsageError(f"{fullName(options[0])}: {shown} is not usable: {e.expected}")
        except Contradiction as e:
            text = e.inWordsOf(self)
            if not e.exclusive:
                raise usage.UsageError(text)
            raise Exclusion(text, *(self._long(path, e.plan) for path in e.about))

    def _values(self, setting: Setting) -> list[Any]:
        """
        The value that is said for a setting, if one is.
        """
        options = setting.options
        if not options:
            return []
        first = options[0]
        if isinstance(first, ValueOption):
            return [] if self[first.long] is None else [self[first.long]]
        if first.method:
            return [self[first.long if len(options) == 1 else setting.path]]
        given = [flag for flag in options if self[flag.long]]
        if len(given) > 1:
            named = " and ".join(f"--{flag.long}" for flag in given)
            raise Exclusion(f"{named} exclude each other: expected one of them", *(flag.long for flag in given))
        return [flag.value for flag in given if isinstance(flag, Flag)]

    def _optionOf(self, path: str, plan: Any) -> Flag | ValueOption | None:
        """
        The option that has said something about a setting, or could have.
        """
        inner = [one for one in self.settingsOf if one.startswith(f"{path}.") and isSet(plan, one)]
        options = self.settingsOf[inner[0] if inner else path].options
        chosen = [one for one in options if isinstance(one, Flag) and one.value == valueOf(plan, path)]
        return next(iter([*chosen, *options]), None)

    def _long(self, path: str, plan: Any) -> str:
        option = None if path in self.said else self._optionOf(path, plan)
        return DESTINATION if option is None else option.long

    def called(self, path: str, plan: Any, how: str) -> str:
        """
        See L{smtpsource.values.rules.Asker.called}.
        """
        if path in self.said:
            scheme, _, _ = self[DESTINATION].partition(":")
            return f"the destination {scheme}:"
        option = self._optionOf(path, plan)
        if option is None:
            return path
        text = fullName(option) if "f" in how else f"-{option.short}" if "l" in how else f"--{option.long}"
        return f"{text} {option.meta}" if "m" in how and isinstance(option, ValueOption) else text


def _counting(flag: Flag) -> Callable[[PlanOptions], None]:
    def more(self: PlanOptions) -> None:
        self[flag.long] += 1

    more.__doc__ = flag.help
    return more


def _lastOne(path: str, flag: Flag) -> Callable[[PlanOptions], None]:
    def choose(self: PlanOptions) -> None:
        self[path] = flag.value

    choose.__doc__ = flag.help
    return choose
