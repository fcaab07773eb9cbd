"""
Tests for L{smtpsource.values.option} and L{smtpsource.values.rules}: what is declared once is there everywhere.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import attrs
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.plan import SourcePlan
from smtpsource.sink.plan import SinkPlan
from smtpsource.values import checks, kinds
from smtpsource.values.option import (
    Flag,
    Setting,
    Settings,
    ValueOption,
    headings,
    option,
    optionsOf,
    setting,
    settingsOf,
    switch,
)
from smtpsource.values.rules import Contradiction, OneOf, Stated, excludes, needs


class Weather(Settings):
    """
    A heading that there is not, with all kinds of settings.
    """

    heading = "Weather"
    rules = (
        OneOf("rainLevel", "snow"),
        needs("{rainLevel} or {windy:f}", "umbrellas", unless=lambda plan: plan.rainLevel or plan.windy),
        excludes("{lmtp:f}", "it has no weather", "rainLevel", when=lambda plan: plan.lmtp),
    )

    rainLevel: int | None = option("MM", kinds.count, "let it rain", default=None)
    snow: float = option("TIME", kinds.timeIfAny, "let it snow for so long", default=0.0)
    umbrellas: int = option("N", kinds.count, "umbrellas that are there", letter="u", default=3)
    windy: bool = switch("let the wind blow", letter="W", default=False)
    sky: str = setting(
        kinds.words("blue", "grey", "black").check,
        Flag("grey-sky", None, "no sun", value="grey"),
        Flag("black-sky", None, "no light", value="black"),
        default="blue",
    )


class Plan(SourcePlan, Weather):
    """
    A plan with this heading.
    """


class Options(SourceOptions):
    """
    A command line for it.
    """

    planClass = Plan


def parsed(*arguments):
    """
    @return: options that have parsed these arguments.
    """
    options = Options()
    options.parseOptions(list(arguments))
    return options


class NewOptionTests(SynchronousTestCase):
    """
    An option that is declared along with its rule needs nothing else: the class above is all there is to it.
    """

    def refused(self, *arguments):
        """
        @return: what is said of this command line.
        """
        return str(self.assertRaises(usage.UsageError, parsed, *arguments))

    def test_help(self):
        """
        The help has it under its heading, with letter, value and default.
        """
        text = parsed("sink:").getUsage()
        weather = text[text.index("\nWeather:\n") : text.index("\nOther:\n")]
        self.assertRegex(weather, r"(?m)^      --rain-level MM +let it rain$")
        self.assertRegex(weather, r"(?m)^  -u, --umbrellas N +umbrellas that are there \(default: 3\)$")
        self.assertRegex(weather, r"(?m)^  -W, --windy +let the wind blow$")

    def test_commandLine(self):
        """
        The command line takes it, converts it, and says what is wrong with it.
        """
        plan = parsed("--rain-level", "2k", "-u", "5", "--windy", "--grey-sky", "sink:").plan
        self.assertEqual((plan.rainLevel, plan.umbrellas, plan.windy, plan.sky), (2000, 5, True, "grey"))
        plan = parsed("--snow=1m30s", "sink:").plan
        self.assertEqual((plan.snow, plan.umbrellas, plan.sky), (90.0, 3, "blue"))
        self.assertEqual(
            self.refused("--rain-level", "x", "sink:"),
            "--rain-level: 'x' is not usable: expected a whole number of at least 1, such as 20, 10k or 1m",
        )
        self.assertEqual(
            self.refused("--grey-sky", "--black-sky", "sink:"),
            "--grey-sky and --black-sky exclude each other: expected one of them",
        )

    def test_program(self):
        """
        So does a program, by a keyword.
        """
        self.assertEqual(Plan(rainLevel=5, sky="black").rainLevel, 5)
        self.assertEqual(attrs.evolve(Plan(rainLevel=5), umbrellas=1).rainLevel, 5)
        for keywords, problem in (
            ({"rainLevel": 0}, "rainLevel: 0 is not usable: expected a whole number from 1 to 2147483647, or None"),
            ({"sky": "green"}, "sky: 'green' is not usable: expected blue, grey or black"),
            ({"windy": 1}, "windy: 1 is not usable: expected True or False"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, Plan, **keywords)), problem)
        self.assertRaises(TypeError, Plan, hail=1)

    def test_scenario(self):
        """
        So does a scenario, in the table of its heading; what the command line excludes of it does not count.
        """
        file = Path(self.mktemp())
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("destination = 'sink:'\n[weather]\nrain-level = 7\nwindy = true\n")
        plan = parsed("--scenario", str(file)).plan
        self.assertEqual((plan.rainLevel, plan.windy), (7, True))
        self.assertEqual(parsed("--scenario", str(file), "-L").plan.rainLevel, None)
        self.assertEqual(parsed("--scenario", str(file), "--snow", "1s").plan.rainLevel, None)
        file.write_text("destination = 'sink:'\n[weather]\numbrellas = 7\n")
        self.assertEqual(
            self.refused("--scenario", str(file)),
            f"--umbrellas needs --rain-level or -W (--windy) (weather.umbrellas is in {file})",
        )

    def test_otherProcess(self):
        """
        What a rule says goes to another process as words, without the plan and what it knows.
        """
        error = self.assertRaises(Contradiction, Plan, umbrellas=1)
        there = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(there), str(there)), (ValueError, str(error)))
        self.assertEqual(str(copy.copy(error)), str(error))

    def test_subclass(self):
        """
        An attribute of a subclass is nobody's setting.
        """

        class Other(Plan):
            umbrellas = 7

        self.assertEqual(Other(destination="sink:").umbrellas, 3)

    def test_rules(self):
        """
        Each rule speaks to whoever asks, in their words.
        """
        for line, keywords, words, texts in (
            (
                ["--umbrellas", "1"],
                {"umbrellas": 1},
                "--umbrellas needs --rain-level or -W (--windy)",
                "umbrellas needs rainLevel or windy",
            ),
            (
                ["-L", "--rain-level", "1"],
                {"lmtp": True, "rainLevel": 1},
                "--rain-level and -L (--lmtp) exclude each other: it has no weather",
                "rainLevel and lmtp exclude each other: it has no weather",
            ),
            (
                ["--snow", "1s", "--rain-level", "1"],
                {"rainLevel": 1, "snow": 1},
                "--rain-level '1' and --snow '1s' exclude each other: give one of them",
                "rainLevel and snow exclude each other: expected one of them",
            ),
        ):
            self.assertEqual(self.refused(*line, "sink:"), words)
            error = self.assertRaises(Contradiction, Plan, **keywords)
            self.assertEqual(str(error), texts)
        # What is said as where nothing is said contradicts nothing.
        self.assertEqual(parsed("--umbrellas", "3", "sink:").plan.umbrellas, 3)


class DeclarationTests(SynchronousTestCase):
    """
    What is declared of the plans that there are.
    """

    def test_once(self):
        """
        Each option is there once, and so is each letter.
        """
        for plan in (SourcePlan, SinkPlan):
            options = [one for _, group in optionsOf(plan) for one in group]
            for names in ([one.long for one in options], [one.short for one in options if one.short]):
                self.assertEqual(len(names), len(set(names)))

    def test_defaults(self):
        """
        The default that the help shows is the one that the plan has.
        """
        shown = 0
        for plan in (SourcePlan, SinkPlan):
            for one in settingsOf(plan).values():
                for each in one.options:
                    if isinstance(each, ValueOption) and each.default is not None:
                        self.assertEqual(each.convert(each.default), one.default)
                        shown += 1
        self.assertGreater(shown, 10)

    def test_documented(self):
        """
        Each setting is told about in the documentation of its class.
        """
        for plan in (SourcePlan, SinkPlan):
            for group in headings(plan):
                for name, one in vars(group).items():
                    if isinstance(one, Setting):
                        self.assertIn(f"@ivar {name}: ", group.__doc__)

    def test_rules(self):
        """
        Each rule names settings that there are, and has nothing against a plan of which nothing is said.
        """
        stated = 0
        for plan in (SourcePlan, SinkPlan):
            one = plan(destination="localhost") if plan is SourcePlan else plan()
            for group in headings(plan):
                for rule in group.rules:
                    self.assertEqual(list(rule(one)), [])
                    if isinstance(rule, OneOf | Stated):
                        self.assertEqual(set(), {*rule.paths} - settingsOf(plan).keys())
                        stated += 1
        self.assertGreater(stated, 30)

    def test_checks(self):
        """
        A value is kept as its check returns it.
        """
        self.assertEqual(checks.tupleOf(checks.flag, "flags")([True, False]), (True, False))
        self.assertEqual(SourcePlan(bind=["2001:DB8::1"]).bind, ("2001:db8::1",))
