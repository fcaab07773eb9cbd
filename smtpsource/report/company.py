"""
What a user asked for beside a run, while it goes on: its checkpoint, files that grow, metrics, a dashboard, commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from smtpsource.report.files import isFile

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from smtpsource.beside.commands import Marked
    from smtpsource.beside.things import Thing
    from smtpsource.beside.values import Errand
    from smtpsource.beside.watching import Watched
    from smtpsource.measure.frame import Frame
    from smtpsource.process.streams import Patience
    from smtpsource.report import csvfile, hlog
    from smtpsource.report.checkpoint import Checkpoint, Recorded
    from smtpsource.report.dashboard.service import DashboardService
    from smtpsource.report.metrics import Source
    from smtpsource.report.renewed import Renewable
    from smtpsource.values.serving import Where

    class Accompanied(Marked, Watched, Recorded, Source, Renewable, csvfile.Run, hlog.Run, Protocol):
        """
        A run that something goes on beside.
        """


class Wishes(Protocol):
    """
    What was asked for: a L{Presentation<smtpsource.report.presentation.Presentation>}, which says what each of it is.
    """

    @property
    def report(self) -> str | None: ...
    @property
    def daemonized(self) -> bool: ...
    @property
    def csv(self) -> str | None: ...
    @property
    def hlog(self) -> str | None: ...
    @property
    def checkpoint(self) -> str | None: ...
    @property
    def metrics(self) -> tuple[str, int] | None: ...
    @property
    def dashboard(self) -> Where | None: ...
    @property
    def lingers(self) -> bool: ...
    @property
    def errands(self) -> Sequence[Errand]: ...
    @property
    def watched(self) -> Sequence[Thing]: ...

    def complain(self, text: str) -> None: ...


class Unfinished(Protocol):
    """
    A file that is written while a run goes on.
    """

    def finish(self, texts: Iterable[str], patience: Patience) -> None: ...


class Company:
    """
    All of it that was started.

    @ivar unfinished: the files that are written while the run goes on, by their names.
    """

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._checkpoints: list[Checkpoint] = []
        self._dashboards: list[DashboardService] = []
        self.unfinished: dict[str, Unfinished] = {}

    def start(self, reactor: Any, source: Accompanied) -> bool:
        """
        Start all that was asked for, and that ends when the run is over.

        @param reactor: what to listen with.
        @return: C{False} if a part of it is not possible; it was said why.
        """
        wishes = self._wishes
        if not self._startCheckpoint(source):
            return False
        self._startFiles(source)
        self._startReport(reactor, source)
        if not (self._startMetrics(reactor, source) and self.startDashboard(reactor, source)):
            return False
        if wishes.errands:
            from smtpsource.beside.commands import Commands  # few have such

            Commands(reactor, source, wishes.errands, wishes.complain).begin()
        if wishes.watched:
            from smtpsource.beside.watching import Watching  # likewise

            Watching(reactor, source, wishes.watched, wishes.complain).begin()
        return True

    def _startCheckpoint(self, source: Recorded) -> bool:
        """
        Begin to write down what is known of a run, if that was asked for, or as soon as it is a long one.
        """
        wishes = self._wishes
        path = wishes.checkpoint
        if path is None:
            if wishes.report is None or not isFile(wishes.report):
                return True
            path = f"{wishes.report}.checkpoint"
        from smtpsource.measure.checkpoint import CheckpointError  # for runs with reports
        from smtpsource.report.checkpoint import Checkpoint

        checkpoint = Checkpoint(source, path, wishes.complain, isAsked=wishes.checkpoint is not None)
        try:
            checkpoint.start()
        except CheckpointError as e:
            wishes.complain(str(e))
            return False
        self._checkpoints.append(checkpoint)
        return True

    def _startFiles(self, source: Accompanied) -> None:
        """
        Begin to write the files that grow while a run goes on; pipes and descriptors are written to at its end.
        """
        wishes = self._wishes
        rows: list[tuple[str, Callable[[Frame], str]]] = []
        if wishes.csv is not None:
            from smtpsource.report import csvfile

            figures: Sequence[str] = ()
            if wishes.watched:
                from smtpsource.beside.things import figuresOf

                figures = figuresOf(wishes.watched)
            rows.append((wishes.csv, csvfile.Growing(source, figures)))
        if wishes.hlog is not None:
            from smtpsource.report import hlog

            rows.append((wishes.hlog, hlog.Growing(source)))
        for path, textOf in rows:
            if isFile(path):
                from smtpsource.report.growing import GrowingFile

                self.unfinished[path] = file = GrowingFile(path)
                file.follow(source, textOf, wishes.complain)

    def _startReport(self, reactor: Any, source: Renewable) -> None:
        """
        Have the report of a long run written now and then, likewise.
        """
        wishes = self._wishes
        if wishes.report is not None and isFile(wishes.report):
            from smtpsource.report.renewed import RenewedReport  # for runs with reports

            self.unfinished[wishes.report] = report = RenewedReport(reactor, source, wishes.report, wishes.complain)
            report.start()

    def _startMetrics(self, reactor: Any, source: Source) -> bool:
        """
        Serve the metrics of a run until it is over, if that was asked for, and say where.
        """
        wishes = self._wishes
        if wishes.metrics is None:
            return True
        from smtpsource.report.metrics import ListenError, MetricsService  # twisted.web takes a while

        interface, port = wishes.metrics
        service = MetricsService(reactor, source, port, interface)
        try:
            service.startService()
        except ListenError as e:
            wishes.complain(str(e))
            return False
        wishes.complain(f"metrics at {service.url}")
        return True

    def startDashboard(self, reactor: Any, source: Any, **settings: Any) -> bool:
        """
        Show a run in browsers, if that was asked for, and say where.

        @param reactor: what to listen with.
        @param source: a L{Shown<smtpsource.report.dashboard.service.Shown>}.
        @param settings: others of the dashboard.
        @return: C{False} if it is not possible there; it was said why.
        """
        wishes = self._wishes
        if wishes.dashboard is None:
            return True
        from smtpsource.report.dashboard.service import DashboardService, ListenError  # as above

        service = DashboardService(reactor, source, wishes.dashboard, **settings)
        try:
            service.startService()
        except ListenError as e:
            wishes.complain(str(e))
            return False
        self._dashboards.append(service)
        wishes.complain(f"dashboard at {service.url}")
        return True

    def finish(self, *, isReported: bool) -> None:
        """
        All is written that will be.

        @param isReported: there is a report: no checkpoint is needed in its place.
        """
        for checkpoint in self._checkpoints:
            checkpoint.finish(isReported)

    def whenLeft(self, reactor: Any, status: int) -> Deferred[Any] | None:
        """
        What is left is what those have who look at a dashboard.

        @param reactor: the one that runs.
        @param status: the exit status that the process will have, whatever comes.
        @return: fires when the process may end, which is soon, or when it is told to, if that was asked for; C{None} if
            it may end now.
        """
        if not self._dashboards:
            return None
        from smtpsource.report.dashboard.leaving import leave  # as above

        wishes = self._wishes
        return leave(reactor, self._dashboards, wishes.lingers, status, wishes.complain, wishes.daemonized)
