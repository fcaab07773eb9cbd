"""
Tests for L{smtpsource.tools.comparison}, L{smtpsource.tools.changes} and L{smtpsource.tools.sidebyside}.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from hypothesis import strategies as st
from properties import given, settings
from results import EVERYTHING, JUDGED, example, latencies, second
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.recorder import Recorder
from smtpsource.measure.summary import Messages, latenciesOf
from smtpsource.phases import RESPONSE
from smtpsource.report.page import WIDTH
from smtpsource.tools.changes import parse
from smtpsource.tools.comparison import figures, relative
from smtpsource.tools.sidebyside import render


def seconds(number, **values):
    """
    @return: so many seconds of a run that are not all the same, with a slow start and a short end.

    @param values: for each, what it has in an even and in an odd second.
    """
    between = [
        second(1 + n, **{name: pair[n % 2] for name, pair in values.items()}, max=0.003 + n * 1e-6)
        for n in range(1, number + 1)
    ]
    return (second(1, accepted=1, p50=9.0, p99=9.0, cpu=9.0), *between, second(number + 1.5, seconds=0.5, accepted=1))


def withSteps(number, length=1.0, **values):
    """
    @return: a run with a schedule whose timeline has so many whole steps, with a slow start and a short end.

    @param values: of its responses: what an even and an odd step has.
    """
    columns = {
        name: [9.0, *(values.get(name, (0.001, 0.002))[n % 2] for n in range(number)), 9.0]
        for name in ("p50", "p95", "p99", "max")
    }
    times = [length * (1 + n) for n in range(number + 1)]
    times.append(times[-1] + length / 2)
    phase = {**columns, "count": [100] * len(times), "heat": [[]] * len(times)}
    recorder = Recorder()
    recorder.duration(RESPONSE, values.get("p99", (0.001, 0.002))[1])
    return example(
        timeline={"time": times, "phases": {"response": phase}, "replies": {}, "errors": {}, "watched": {}},
        latency=latenciesOf(recorder),
    )


def named(first, second):
    """
    @return: the figures of two runs, by name.
    """
    return {figure.name: figure for figure in figures(first, second)}


class FigureTests(SynchronousTestCase):
    """
    What two runs have come to.
    """

    def test_values(self):
        """
        Each figure is there for both, with its change.
        """
        first = example(messages=Messages(1000, 990, 6, 4), rate=100.0, user=1.0, system=1.0, **latencies(0.1))
        second = example(messages=Messages(2000, 1995, 0, 5), rate=110.0, user=2.0, system=1.0, **latencies(0.2))
        found = named(first, second)
        for name, a, b, change in (
            ("started", 1000, 2000, 1.0),
            ("accepted", 990, 1995, 1995 / 990 - 1),
            ("rejected", 6, 0, -1.0),
            ("errors", 0.01, 0.0025, -0.75),
            ("rate", 100.0, 110.0, 0.1),
            ("cpu", 0.002, 0.0015, -0.25),
            ("p99(transaction)", 0.2, 0.4, 1.0),
        ):
            self.assertApproximates(found[name].first, a, a * 1e-3)
            self.assertApproximates(found[name].second, b, b * 1e-3)
            self.assertApproximates(found[name].change, change, 2e-3)

    def test_missing(self):
        """
        What neither has is left out; what one has not has no change.
        """
        found = named(example(latency={}), example(latency={}))
        self.assertEqual([name for name in found if name in ("asked", "late", "dropped") or "(" in name], [])
        found = named(example(**EVERYTHING), example(latency={}))
        self.assertEqual((found["asked"].first, found["asked"].second, found["asked"].change), (250.0, None, None))

    def test_relative(self):
        """
        From nothing to nothing is no change; from nothing to something is beyond all bounds.
        """
        self.assertEqual(
            [relative(*pair) for pair in ((4, 5), (4, 3), (4, 4), (0, 0), (0, 1), (1, 0))],
            [0.25, -0.25, 0.0, 0.0, inf, -1.0],
        )

    def test_more(self):
        """
        Seconds that are higher almost always are more than noise; those that are now higher, now lower may be noise.
        """
        first = example(series=seconds(30, accepted=(100, 110), p99=(0.010, 0.012), cpu=(0.2, 0.3)))
        found = named(first, example(series=seconds(30, accepted=(120, 130), p99=(0.009, 0.013), cpu=(0.2, 0.3))))
        self.assertLess(found["rate"].chance, 0.001)
        self.assertGreater(found["p99(transaction)"].chance, 0.05)
        self.assertEqual(found["p50(transaction)"].chance, 1.0)
        self.assertGreater(found["cpu"].chance, 0.05)

    def test_edges(self):
        """
        The first second, in which a run comes to speed, and a short one at the end say nothing.
        """
        few = example(series=seconds(4, accepted=(100, 110)))
        self.assertIs(named(few, few)["rate"].chance, None)
        enough = example(series=seconds(5, accepted=(100, 110)))
        self.assertEqual(named(enough, enough)["rate"].chance, 1.0)

    def test_judged(self):
        """
        What became of messages is compared; and the seconds after the load, in which the server was waited for, are
        none that messages were sent in.
        """
        waiting = [second(number, accepted=0) for number in range(31, 60)]
        series = seconds(29, accepted=(100, 110))
        judged = example(judgement=JUDGED, series=(*series, *waiting), elapsed=30.5)
        found = named(judged, judged)
        self.assertEqual((found["lost"].first, found["duplicated"].second, found["drain"].second), (1, 2, 2.5))
        self.assertEqual(found["rate"].chance, 1.0)
        found = named(judged, example(series=series))
        self.assertEqual((found["lost"].second, found["rate"].chance), (None, 1.0))

    def test_idle(self):
        """
        Seconds without a transaction have no latency to compare.
        """
        idle = example(series=seconds(20, p99=(None, 0.01), p50=(None, None)))
        found = named(idle, idle)
        self.assertEqual(found["p99(transaction)"].chance, 1.0)
        self.assertIs(found["p50(transaction)"].chance, None)

    def test_response(self):
        """
        Responses are judged by the steps of the timeline: the whole ones of the load.
        """
        first, slower = (withSteps(30, p99=pair) for pair in ((0.010, 0.012), (0.020, 0.022)))
        found = named(first, slower)
        self.assertLess(found["p99(response)"].chance, 0.001)
        self.assertEqual(found["p50(response)"].chance, 1.0)
        self.assertEqual({found[f"{name}(response)"].untold for name in ("p50", "p95", "p99", "max")}, {""})
        # The first step, and a short one at the end, are none of them: so there are too few.
        few = withSteps(4, p99=(0.010, 0.012))
        self.assertIs(named(few, few)["p99(response)"].chance, None)
        enough = withSteps(5, p99=(0.010, 0.012))
        self.assertEqual(named(enough, enough)["p99(response)"].chance, 1.0)
        self.assertNotIn("p99(response)", named(example(), example()))

    def test_unlikeSteps(self):
        """
        The p99 of a second is none of two seconds.
        """
        found = named(withSteps(30), withSteps(30, length=2.0))["p99(response)"]
        self.assertEqual((found.chance, found.untold), (None, "steps of unlike length"))

    def test_older(self):
        """
        Reports of earlier versions lack some figures of seconds: that is not the same as to have too few of these.
        """
        new = example(series=seconds(30, p95=(0.001, 0.002)))
        old = example(series=seconds(30, p95=(None, None)))
        for pair in ((new, old), (old, new)):
            self.assertEqual(named(*pair)["p95(transaction)"].untold, "not known of each second")
            self.assertEqual(named(*pair)["p99(transaction)"].untold, "")
        few = example(series=seconds(2, p95=(0.001, 0.002)))
        self.assertEqual(named(few, few)["p95(transaction)"].untold, "too few seconds to tell")
        found = named(withSteps(30), replace(withSteps(30), timeline=None))
        self.assertEqual(found["p99(response)"].untold, "not known of each second")


class ChangeTests(SynchronousTestCase):
    """
    What must not be.
    """

    first = example(
        messages=Messages(1000, 990, 6, 4), elapsed=10.0, user=0.5, system=0.5, **latencies(*[0.1] * 98, 0.2, 0.4)
    )
    second = example(
        messages=Messages(1000, 900, 60, 40),
        elapsed=10.0,
        user=1.0,
        system=1.0,
        **latencies(*[0.1] * 97, 0.3, 0.3, 0.4),
    )

    def check(self, text, found, actual):
        """
        Is it so, and what is told?
        """
        self.assertEqual(parse(text).found(self.first, self.second), (found, actual), text)

    def test_part(self):
        """
        A sign and per cent is a change relative to the first run.
        """
        self.check("p99(message) > +10%", True, "+50.0% (from 200.063 ms to 300.031 ms)")
        self.check("p99(message) > +60%", False, "+50.0% (from 200.063 ms to 300.031 ms)")
        self.check("rate < -5%", True, "-9.1% (from 99/s to 90/s)")
        self.check("rate < -10%", False, "-9.1% (from 99/s to 90/s)")
        self.check("errors > +100%", True, "+900.0% (from 10 to 100)")
        self.check("cpu >= +100%", True, "+100.0% (from 1 ms to 2 ms)")

    def test_difference(self):
        """
        A sign and a value is a change itself.
        """
        self.check("p99(message) > +50ms", True, "+99.968 ms (from 200.063 ms to 300.031 ms)")
        self.check("p99(message)>+0.1s", False, "+99.968 ms (from 200.063 ms to 300.031 ms)")
        self.check("rate <= -9/s", True, "-9/s (from 99/s to 90/s)")
        self.check("errors == +90", True, "+90 (from 10 to 100)")

    def test_value(self):
        """
        A value without a sign is compared with the second run's.
        """
        self.check("p99(message) > 250ms", True, "300.031 ms")
        self.check("rate < 90/s", False, "90/s")
        self.check("rejected != 60", False, "60")
        self.check("cpu > 1500us", True, "2 ms")
        self.check("p99(message) > 0.3", True, "300.031 ms")
        self.check("p99(message) > 1m30s", False, "300.031 ms")
        self.check("rate < 6k/m", True, "90/s")

    def test_share(self):
        """
        Of counts, per cent without a sign is of the started messages.
        """
        self.check("errors > 9.9%", True, "10%")
        self.check("errors > 10%", False, "10%")
        self.check("accepted < 95%", True, "90%")

    def test_nothing(self):
        """
        A figure that one of them does not have is told of, and is one that must not be.
        """
        self.check("p99(tls) > +10%", True, "no tls was measured")
        self.assertEqual(
            parse("errors > 1%").found(self.first, example(messages=Messages(0, 0, 0, 0))),
            (True, "no message was started"),
        )
        self.assertEqual(
            parse("cpu > +1%").found(self.first, example(messages=Messages(0, 0, 0, 0))),
            (True, "no message was started"),
        )

    def test_fromNothing(self):
        """
        Any error after a run without one is more than any change.
        """
        clean = example(messages=Messages(10, 10, 0, 0))
        self.assertEqual(parse("errors > +1000%").found(clean, self.second), (True, "+inf% (from 0 to 100)"))
        self.assertEqual(parse("errors > +0%").found(clean, clean), (False, "+0.0% (from 0 to 0)"))

    def test_wrong(self):
        """
        What is no such expression is refused, with what would be right.
        """
        for text, problem in (
            ("", "expected a figure and a change, such as"),
            ("p99(message)", "expected a figure and a change, such as"),
            ("p99(message) > fast", "expected a figure and a change, such as"),
            ("p99(message) > +10% and rate < -5%", "expected a figure and a change, such as"),
            ("speed < -5%", "expected a metric, one of rate, "),
            ("p99(mesage) > +5%", "expected a phase, one of connect, "),
            ("p99(message) > 10%", "expected a sign before 10%, such as p99(message) > +10%: the change"),
            ("rate < 0.9%", "expected a sign before 0.9%, such as rate < +0.9%: the change"),
            ("p99(message) > 5/s", "expected a change after p99(message) >, such as +10%, or a value, such as 250ms"),
            ("p99(message) > +5%%", "expected a change after p99(message) >, such as +10%, or a value, such as 250ms"),
            ("errors > 0.1", "expected a whole number after errors >, or per cent, such as errors > 0.1%"),
            ("errors > +0.1", "expected a whole number after errors >, or per cent, such as errors > +0.1%"),
            ("rate < +5ms", "expected a change after rate <, such as +10%, or a value, such as 500/s"),
            ("errors > 1s", "expected a change after errors >, such as +10%, or a value, such as 0.1%"),
            ("p99(message) => 1s", "expected a figure and a change, such as"),
        ):
            error = self.assertRaises(ValueError, parse, text)
            self.assertTrue(str(error).startswith(problem), str(error))

    @given(st.text("p9(mail)rate<>=+-0.1%ms/ ", max_size=30))
    @settings(deadline=None)
    def test_anything(self, text):
        """
        Whatever it is, it is understood or refused with one line.
        """
        try:
            parse(text)
        except ValueError as e:
            self.assertNotIn("\n", str(e))


class TextTests(SynchronousTestCase):
    """
    Two runs side by side, for people.
    """

    maxDiff = None

    def test_all(self):
        """
        Every figure in its place.
        """
        first = example(
            messages=Messages(3000, 2990, 6, 4),
            rate=100.0,
            **latencies(0.1, 0.2),
            series=seconds(30, accepted=(90, 110)),
        )
        second = example(
            command=("smtp-source", "-s", "1 0"),
            messages=Messages(6000, 6000, 0, 0),
            ended="signal",
            rate=200.0,
            **latencies(0.25),
            series=seconds(30, accepted=(190, 210)),
            limits=("this process used 97% of a processor",),
        )
        self.assertEqual(
            render(first, second, ("before.json", "after.json"), [("rate < -5%", False, "+100%"), ("x", True, "y")]),
            """\
pass         rate < -5%: +100%
FAIL         x: y

A  before.json: 2026-01-02T03:04:05.678+00:00, 2.000 s
   smtp-source x
B  after.json: 2026-01-02T03:04:05.678+00:00, 2.000 s
   smtp-source -s '1 0'
   it has not come to its end
   LIMITED BY the generator, not the server: this process used 97% of a
   processor

                            A           B    change  going by each second
started                  3000        6000     +100%
accepted                 2990        6000     +101%
rejected                    6           0   -100.0%
failed                      4           0   -100.0%
errors                 0.333%      0.000%   -100.0%  may be noise (p = 1.00)
rate                  100.0/s     200.0/s     +100%  more than noise (p < 0.001)
CPU for a message      250 us      125 us    -50.0%  may be noise (p = 1.00)
p50(transaction)       200 ms      500 ms     +150%  may be noise (p = 1.00)
p95(transaction)       400 ms      500 ms    +25.0%  may be noise (p = 1.00)
p99(transaction)       400 ms      500 ms    +25.0%  may be noise (p = 1.00)
max(transaction)       400 ms      500 ms    +25.0%  may be noise (p = 1.00)

                     p50                    p95                    p99
latency           A       B change       A       B change       A       B change
message      100 ms  250 ms  +150%  200 ms  250 ms +25.0%  200 ms  250 ms +25.0%
transaction  200 ms  500 ms  +150%  400 ms  500 ms +25.0%  400 ms  500 ms +25.0%

                    p99.9
latency           A       B change
message      200 ms  250 ms +25.0%
transaction  400 ms  500 ms +25.0%
""",
        )

    def test_few(self):
        """
        With a few seconds nothing can be told of noise.
        """
        text = render(example(rate=100.0), example(rate=101.0), ("a", "b"))
        self.assertIn("rate                  100.0/s     101.0/s     +1.0%  too few seconds to tell\n", text)
        self.assertNotIn("noise", text)

    def test_untold(self):
        """
        Why nothing can be told of it is said; it fits in its column.
        """
        text = render(withSteps(30, p99=(0.01, 0.02)), withSteps(30, 2.0, p99=(0.1, 0.2)), ("a", "b"))
        self.assertRegex(text, r"(?m)^p99\(response\) .* steps of unlike length$")
        text = render(example(series=seconds(30, p95=(None, None)), **latencies(0.1)), example(**latencies(2)), "ab")
        self.assertRegex(text, r"(?m)^p95\(transaction\) .* not known of each second$")

    def test_same(self):
        """
        Where nothing has changed there is nothing to explain.
        """
        text = render(example(), example(), ("a", "b"))
        self.assertNotIn("too few", text)
        self.assertIn("rate                    0.5/s       0.5/s      same\n", text)

    def test_judged(self):
        """
        The verdict of each that has one; nothing is told of what may still arrive.
        """
        inconclusive = replace(
            JUDGED, verdict="inconclusive", reasons=("3 acknowledged had not arrived",), drained=False, lost=0, queued=3
        )
        names = ("a", "b")
        text = render(example(judgement=JUDGED), example(judgement=inconclusive), names)
        self.assertIn("   ledger FAIL: 1 lost\n", text)
        self.assertIn("   ledger inconclusive: 3 acknowledged had not arrived\n", text)
        self.assertRegex(text, r"(?m)^lost +1 +not known$")
        self.assertRegex(text, r"(?m)^queued +0 +3 +from 0$")
        self.assertRegex(text, r"(?m)^drain +2\.50 s +-$")
        self.assertRegex(render(example(judgement=JUDGED), example(), names), r"(?m)^lost +1 +-$")

    def test_elsewhere(self):
        """
        If they did not run on the same, it is said what is different.
        """
        environment = {"host": "a.example", "versions": {"python": "3.11.2"}, "processors": {"usable": 2}}
        other = {"host": "b.example", "versions": {"python": "3.11.2"}, "processors": {"usable": 16}, "system": "x"}
        text = render(example(environment=environment), example(environment=other), ("a", "b"))
        self.assertIn("!  not the same host: a.example in A, b.example in B\n", text)
        self.assertIn("!  not the same number of processors: 2 in A, 16 in B\n", text)
        self.assertEqual(text.count("not the same"), 2)

    def test_workers(self):
        """
        So it is if there were not as many processes to carry the load; of merged runs, in any of them.
        """
        two, none = {"workers": [{}, {}]}, {}
        for one, other, said in (
            (two, none, "2 in A, 1 in B"),
            ({"runs": [two, none]}, {"runs": [two, two]}, "2, 1 in A, 2, 2 in B"),
        ):
            text = render(example(environment=one), example(environment=other), ("a", "b"))
            self.assertIn(f"!  not the same number of workers: {said}\n", text)
        self.assertNotIn("workers", render(example(environment=two), example(environment=two), ("a", "b")))

    @given(
        st.floats(0, 1e6),
        st.floats(0, 1e6),
        st.integers(0, 10**9),
        st.integers(0, 10**9),
        st.lists(st.floats(1e-6, 3500), max_size=5),
        st.lists(st.floats(1e-6, 3500), max_size=5),
    )
    @settings(deadline=None)
    def test_width(self, rate, otherRate, accepted, otherAccepted, times, otherTimes):
        """
        No line is longer than it should be, whatever the figures are.
        """
        first = example(
            rate=rate, messages=Messages(accepted, accepted, 0, 0), **latencies(*times), command=("x" * 500,)
        )
        second = example(
            rate=otherRate, messages=Messages(otherAccepted, 0, otherAccepted, 0), **latencies(*otherTimes)
        )
        lines = render(first, second, ("a" * 300, "b")).splitlines()
        self.assertLessEqual(max(map(len, lines)), WIDTH)
