"""
Tests for L{smtpsource.measure.thresholds} and L{smtpsource.measure.figures}: what users can want of a run.
"""

from __future__ import annotations

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import phases
from smtpsource.measure import snapshot
from smtpsource.measure.histogram import summarize
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.thresholds import Outcome, parse


def figures(seconds=2.0, asked=None, latencies=None, **counted):
    """
    @param latencies: seconds, by phase.
    @param counted: attributes of the recorder.
    @return: what was measured in so many seconds.
    """
    recorder = Recorder()
    for name, value in counted.items():
        assert hasattr(recorder, name), name
        setattr(recorder, name, value)
    for phase, times in (latencies or {}).items():
        for time in times:
            recorder.duration(phase, time)
    return snapshot.take(recorder, seconds, asked)


def outcome(text, **what):
    """
    @return: whether this threshold is passed by L{figures} made of these, and what there was.
    """
    result = parse(text).check(figures(**what))
    return result.passed, result.actual


class Case(SynchronousTestCase):
    """
    Tables of thresholds.
    """

    def check(self, table, **what):
        for text, passed, actual in table:
            self.assertEqual(outcome(text, **what), (passed, actual), text)


class LatencyTests(Case):
    """
    Percentiles and other figures of a phase.
    """

    #: 1 ms to 1 s, evenly.
    times = [n / 1000 for n in range(1, 1001)]

    def test_figures(self):
        """
        Every figure of a phase, in the unit that suits it.
        """
        self.check(
            (
                ("p50(message) < 501ms", True, "500.223 ms"),
                ("p50(message) < 500ms", False, "500.223 ms"),
                ("p99(message) <= 1s", True, "990.207 ms"),
                ("p99.9(message) > 0.99s", True, "999.423 ms"),
                ("p100(message) < 1s", False, "1.00045 s"),
                ("p0(message) == 1000us", True, "1 ms"),
                ("min(message) <= 1ms", True, "1 ms"),
                ("mean(message) < 1m", True, "500.504 ms"),
                ("max(message) < 1.1s", True, "1.00045 s"),
                ("count(message) == 1000", True, "1000"),
                ("count(message) == 1k", True, "1000"),
                ("count(message) < 0.001m", False, "1000"),
                ("p99(message) < 1", True, "990.207 ms"),
                ("p50(message) < 0.5", False, "500.223 ms"),
                ("p50(message) < .5002", False, "500.223 ms"),
                ("max(message) < 1m30s", True, "1.00045 s"),
                ("max(message) < 2h", True, "1.00045 s"),
                ("max(message) < 2 s", True, "1.00045 s"),
                ("max(message) > 10 * min(message)", True, "1.00045 s (10 * min(message) is 10 ms)"),
            ),
            latencies={phases.MESSAGE: self.times},
            started=1000,
        )

    def test_phases(self):
        """
        Every phase has a name, and each is its own.
        """
        for phase, name in enumerate(phases.NAMES):
            for measured in (phase, phases.TLS if phase != phases.TLS else phases.DATA):
                passed, actual = outcome(f"max({name}) < 100us", latencies={measured: [50e-6]})
                self.assertEqual((passed, actual), (True, "50 us") if measured == phase else (False, actual), name)

    def test_never(self):
        """
        A phase that never happened passes nothing but that there was none.
        """
        for text in ("p99(transaction) < 1s", "min(transaction) > 1s", "mean(transaction) != 5s"):
            self.assertEqual(outcome(text, started=1), (False, "no transaction was measured"))
        self.assertEqual(
            outcome("max(mail) < 2 * max(rcpt)", latencies={phases.MAIL: [1]}), (False, "no rcpt was measured")
        )
        self.assertEqual(outcome("count(rset) == 0"), (True, "0"))
        self.assertIsNone(parse("p99(transaction) < 1s").check(figures()).value)

    def test_neverLate(self):
        """
        Of messages of which none was late, the lateness is 0; but there must be messages.
        """
        self.assertEqual(outcome("p99(late) < 5ms", started=1, asked=1), (True, "0 us"))
        self.assertEqual(outcome("p99(late) < 5ms", asked=0), (False, "no late was measured"))

    def test_microseconds(self):
        """
        A limit is exact where latencies are.
        """
        for microseconds in range(1, 1024):
            threshold = f"max(noop) == {microseconds / 1000}ms"
            self.assertTrue(
                parse(threshold).check(figures(latencies={phases.NOOP: [microseconds / 1e6 + 1e-7]})).passed
            )

    @given(st.lists(st.floats(1e-6, 3600), min_size=1), st.sampled_from([0, 50, 90, 99, 99.9, 100]))
    def test_summary(self, times, percentile):
        """
        The figures are those of the report.
        """
        what = figures(latencies={phases.DATA: times})
        latency = summarize(what.buckets[phases.DATA])
        reported = {50: latency.p50, 90: latency.p90, 99: latency.p99, 99.9: latency.p999}
        names = {f"p{p}(data)": value for p, value in reported.items()}
        names |= {"min(data)": latency.minimum, "mean(data)": latency.mean, "max(data)": latency.maximum}
        for name, value in names.items():
            self.assertAlmostEqual(parse(f"{name} > 0us").check(what).value, value, places=9)
        self.assertEqual(latency.count, parse("count(data) > 0").check(what).value)


class RateTests(Case):
    """
    Messages per second.
    """

    def test_rates(self):
        """
        C{rate} is what was accepted in a second, C{asked} what the schedule asked for.
        """
        self.check(
            (
                ("rate >= 500/s", True, "500/s"),
                ("rate > 500", False, "500/s"),
                ("rate == 30k/m", True, "500/s"),
                ("rate == 1800000/h", True, "500/s"),
                ("rate < 0.5k/s", False, "500/s"),
                ("asked == 505", True, "505/s"),
                ("rate >= 0.99 * asked", True, "500/s (0.99 * asked is 499.95/s)"),
                ("rate >= asked * 0.991", False, "500/s (0.991 * asked is 500.455/s)"),
                ("rate == asked", False, "500/s (asked is 505/s)"),
            ),
            accepted=1000,
            started=1005,
            asked=1010.0,
        )

    def test_close(self):
        """
        A rate that is only just too low does not look as if it was high enough; a high one has no exponent.
        """
        self.assertEqual(outcome("rate >= 500", accepted=99999, seconds=200.0), (False, "499.995/s"))
        self.assertEqual(outcome("rate < 1000000", accepted=2469134), (False, "1234567/s"))

    def test_notAsked(self):
        """
        Without a schedule nothing was asked for, so what depends on it fails.
        """
        for text in ("rate >= 0.99 * asked", "asked > 0", "late == 0", "dropped == 0", "late < 1%"):
            self.assertEqual(outcome(text, accepted=1, started=1), (False, "no rate was asked for"))
            self.assertTrue(parse(text).needsSchedule)
            self.assertTrue(parse(f"errors == 0 and {text}").needsSchedule)
        for text in ("p99(response) < 1s", "max(late) < 1s", "count(late) == 0"):
            self.assertTrue(parse(text).needsSchedule)
        for text in ("rate > 5", "p99(transaction) < 1s", "errors == 0 and connectionsLost == 0"):
            self.assertFalse(parse(text).needsSchedule)

    def test_noTime(self):
        """
        In no time there is no rate.
        """
        self.assertEqual(outcome("rate < 5", seconds=0.0), (False, "no time was measured"))


class CountTests(Case):
    """
    Messages and connections.
    """

    def test_counts(self):
        """
        Each is what its name says; errors are the messages that were rejected or failed.
        """
        named = {"started": 100, "accepted": 90, "rejected": 7, "failed": 3, "late": 11, "dropped": 13}
        counted = {**named, "connectionsLost": 17, "connectionsFailed": 19}
        named |= {"connectionsLost": 17, "connectFailures": 19, "errors": 10}
        for name, value in named.items():
            self.check(
                ((f"{name} == {value}", True, str(value)), (f"{name} < {value}", False, str(value))), asked=1, **counted
            )
            self.check(((f"{name} <= {value}%", True, f"{value}% ({value} of 100)"),), asked=1, **counted)

    def test_others(self):
        """
        A count can be compared with a part of another.
        """
        table = (
            ("accepted >= 0.9 * started", True, "90 (0.9 * started is 90)"),
            ("rejected > failed", False, "3 (failed is 7)"),
        )
        self.check(table, started=100, accepted=90, rejected=3, failed=7)

    @given(st.integers(0, 2000), st.integers(1, 2000))
    def test_perCent(self, rejected, tenths):
        """
        Per cent are exact, and of the started messages.
        """
        what = figures(rejected=rejected, started=2000)
        text = f"{tenths // 10}.{tenths % 10}%"
        self.assertIs(parse(f"errors < {text}").check(what).passed, rejected * 1000 < tenths * 2000)
        self.assertIs(parse(f"errors <= {text} of started").check(what).passed, rejected * 1000 <= tenths * 2000)

    def test_nothing(self):
        """
        There are no per cent of nothing.
        """
        self.assertEqual(outcome("errors < 1%"), (False, "no message was started"))
        self.assertEqual(outcome("errors == 0"), (True, "0"))


class OutcomeTests(Case):
    """
    What a threshold says in the end.
    """

    def test_one(self):
        """
        One comparison: its figure, as text and as a number.
        """
        text = "errors  <\t0.1%"
        expected = Outcome("errors < 0.1%", False, "0.25% (1 of 400)", 0.25)
        self.assertEqual(parse(text).check(figures(failed=1, started=400)), expected)

    def test_several(self):
        """
        Several are passed if all are. The text has all figures, the number is that of the first that failed.
        """
        threshold = parse("p99(message)<250ms and errors<0.1%")
        for time, failed, passed, actual, value in (
            (0.125, 0, True, "p99(message): 125.055 ms, errors: 0% (0 of 400)", 0.125055),
            (0.125, 1, False, "p99(message): 125.055 ms, errors: 0.25% (1 of 400)", 0.25),
            (0.5, 0, False, "p99(message): 500.223 ms, errors: 0% (0 of 400)", 0.500223),
            (0.5, 1, False, "p99(message): 500.223 ms, errors: 0.25% (1 of 400)", 0.500223),
        ):
            result = threshold.check(figures(latencies={phases.MESSAGE: [time]}, failed=failed, started=400))
            self.assertEqual(result, Outcome("p99(message)<250ms and errors<0.1%", passed, actual, value))

    def test_signs(self):
        """
        Each sign means what it does elsewhere.
        """
        for sign, results in {
            "<": (True, False, False),
            "<=": (True, True, False),
            ">": (False, False, True),
            ">=": (False, True, True),
            "==": (False, True, False),
            "!=": (True, False, True),
        }.items():
            for count, passed in zip((4, 5, 6), results, strict=True):
                lost = figures(connectionsLost=count)
                self.assertIs(parse(f"connectionsLost {sign} 5").check(lost).passed, passed, (count, sign))

    def test_equal(self):
        """
        Two of the same text are equal.
        """
        self.assertEqual(parse("errors == 0"), parse(" errors == 0 "))
        self.assertNotEqual(parse("errors == 0"), parse("errors == 1"))


class HopelessTests(SynchronousTestCase):
    """
    What can be said of a threshold while a run goes on.
    """

    def check(self, table, **what):
        for text, expected in table:
            found = parse(text).cannotPass(figures(**what))
            self.assertEqual(None if found is None else found.actual, expected, text)
            if found is not None:
                self.assertIs(found.passed, False)

    def test_counts(self):
        """
        Counts grow: only what is too much already is a failure.
        """
        table = (
            *(("accepted >= 700", None), ("accepted > 700", None), ("accepted == 700", None), ("errors != 2", None)),
            *(("errors == 0", "2"), ("errors < 2", "2"), ("errors <= 2", None), ("errors == 2", None)),
            *(("errors < 1%", "1.25% (2 of 160)"), ("count(quit) >= 1", None), ("count(mail) == started", None)),
            *(("accepted == started", "100 (started is 160)"), ("started == count(message)", None)),
        )
        self.check(table, accepted=100, rejected=2, started=160)

    def test_unmeasured(self):
        """
        What was not measured may still come.
        """
        self.check((("p99(quit) < 1s", None), ("errors < 1%", None), ("rate > 5", None)), seconds=0.0)

    def test_latencies(self):
        """
        Latencies are taken as they are.
        """
        self.check((("max(mail) < 1ms", "5.003 ms"), ("max(mail) < 9ms", None)), latencies={phases.MAIL: [0.005]})

    def test_inFlight(self):
        """
        Messages on their way are taken for accepted.
        """
        table = (("rate >= 0.99 * asked", None), ("rate > 7", None), ("accepted >= 99%", None), ("rate < 9", None))
        self.check(table, seconds=10.0, asked=100, started=100, accepted=80)
        table = (("rate >= 0.99 * asked", "8/s (0.99 * asked is 9.9/s)"), ("rate >= 9.9/s", "8/s"))
        self.check(table, seconds=10.0, asked=100, started=82, accepted=80)
        self.check((("accepted >= 99%", "80% (80 of 100)"),), started=100, accepted=80, failed=2)

    def test_schedule(self):
        """
        A rate that a schedule has not asked for so far may still come.
        """
        self.check((("rate >= 20/s", None), ("rate >= 10/s", "8/s")), seconds=10.0, asked=100, started=80, accepted=80)

    def test_several(self):
        """
        One that failed is enough; the number is its own.
        """
        found = parse("accepted >= 700 and errors == 0").cannotPass(figures(accepted=5, failed=1, started=6))
        self.assertEqual((found.passed, found.actual, found.value), (False, "accepted: 5, errors: 1", 1))


class ErrorTests(SynchronousTestCase):
    """
    What is said of a threshold that is none.
    """

    def check(self, expected, *texts):
        for text in texts:
            error = str(self.assertRaises(ValueError, parse, text))
            self.assertTrue(error.startswith("expected "), error)
            self.assertIn(expected, error, text)
            self.assertEqual(len(error.splitlines()), 1)

    def test_comparison(self):
        """
        No comparison at all.
        """
        example = "expected a comparison such as p99(message) < 250ms, rate >= 0.99 * asked or errors < 0.1%, not "
        self.check(example + "''", "", " ", "and", "errors < 1 and ", "and errors < 1", "errors < 1 and and lost < 1")
        self.check(example + "'p99(message)'", "p99(message)")
        self.check(example + "'< 250ms'", "< 250ms")
        self.check(example + "'p99(message) 250ms'", "p99(message) 250ms", "lost == 0 and p99(message) 250ms")

    def test_sign(self):
        """
        Signs that there are not.
        """
        for sign in ("=", "=<", "=>", "<>", "===", "!", "<<"):
            self.check(f"expected one of <, <=, >, >=, ==, != after errors, not '{sign}'", f"errors {sign} 5")

    def test_metric(self):
        """
        Metrics that there are not, with the nearest that there is.
        """
        for text in ("latency", "p99", "min", "median(message)", "p(message)", "min5(message)", "rate(message)", "5ms"):
            self.check("expected a metric, one of rate, asked, started, ", f"{text} < 5ms")
            self.check(f"such as p99(message), not '{text}'", f"{text} < 5ms")
        self.check("not 'eror' (did you mean errors?)", "eror == 0", "lost == 2 * eror")
        self.check("expected a percentile from p0 to p100, not p101", "p101(message) < 5ms")
        self.check("expected a percentile from p0 to p100, not p100.1", "p100.1(message) < 5ms")

    def test_phase(self):
        """
        Phases that there are not.
        """
        self.check(", not 'mesage' (did you mean message?)", "p99(mesage) < 5ms", "max(mail) < max(mesage)")
        self.check(f"expected a phase, one of {', '.join(phases.NAMES)}, not ''", "p99() < 5ms")

    def test_value(self):
        """
        Values that can't be compared with the metric.
        """
        for metric, expected, values in (
            (
                "p99(message)",
                "expected a time after p99(message) <, such as 250ms, 1m30s or, in seconds, 0.25, not ",
                ("5%", "5/s", "5k", "30m1h", "5sec", "rate", "2 * lost", "-5ms", "1e3ms", "", "5 ms ms", "2*"),
            ),
            (
                "rate",
                "expected a rate after rate <, such as 500/s or 0.99 * asked, not ",
                ("5ms", "5%", "5/d", "5m", "lost", "2 * p99(message)", "-1/s", "", "2*2*asked", "rate*asked", "*"),
            ),
            (
                "rejected",
                "expected a whole number, or per cent of the started messages after rejected <, such as 0 or 0.1%, "
                "not ",
                (
                    "5ms",
                    "5/s",
                    "5k%",
                    "5% of accepted",
                    "asked",
                    "max(message)",
                    "-1",
                    "",
                    "1 or lost < 5",
                    "0x1",
                    "9" * 5000,
                    "1.0005k",
                ),
            ),
        ):
            for value in values:
                self.check(expected + repr(value), f"{metric} < {value}")
        self.check("not '5 < 6'", "lost < 5 < 6")
        self.check(
            "expected a whole number after errors <, or per cent of the started messages, such as errors < 0.1%, not "
            "'0.1'",
            "errors < 0.1",
        )

    @given(st.text(alphabet="p9(mesag)<=>*% .andrt5/", max_size=30))
    def test_text(self, text):
        """
        Any text is a threshold that can be checked, or gives one line that says what was expected.
        """
        try:
            threshold = parse(text)
        except ValueError as e:
            self.assertTrue(str(e).startswith("expected "), e)
            self.assertEqual(len(str(e).splitlines()), 1)
        else:
            self.assertIsInstance(threshold.check(figures()).passed, bool)

    @given(
        st.sampled_from([("max(noop)", "ms"), ("rate", "/s"), ("connectionsLost", ""), ("errors", "%")]),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.decimals(0, 1000, places=3),
        st.sampled_from(["", " ", "  "]),
    )
    def test_again(self, metric, sign, number, blank):
        """
        Blanks change nothing, and the text can be parsed again.
        """
        name, unit = metric
        if not unit:
            number = number.to_integral_value()  # of things that are counted
        threshold = parse(f"{blank}{name}{blank}{sign}{blank}{number:f}{unit}{blank}")
        what = figures(latencies={phases.NOOP: [0.5]}, accepted=1000, rejected=500, started=1500, connectionsLost=500)
        again = parse(threshold.text)
        self.assertEqual((again, again.check(what)), (threshold, threshold.check(what)))
        bare = parse(f"{name}{sign}{number:f}{unit}").check(what)
        self.assertEqual((bare.passed, bare.actual), (threshold.check(what).passed, threshold.check(what).actual))
