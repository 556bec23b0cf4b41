"""Outputs for people, which take time that the next frame set should not wait for."""

from __future__ import annotations

from collections.abc import Callable

from streampetr_ros.messages.results import SetResult
from streampetr_ros.ros.outputs.topic import Output
from streampetr_ros.ros.worker import NewestWorker


class BackgroundOutput(Output):
    """Publishes in a thread of its own, and only while somebody subscribes.

    Results that come while one is in the making are skipped, all but the newest.

    Args:
        name: of the thread, and of the output in reports.
        report: hears of results that cannot be published.
    """

    def __init__(self, name: str, report: Callable[[str], None]) -> None:
        super().__init__()
        self._name = name
        self._report = report
        self._restarts = 0
        self._worker: NewestWorker[tuple[SetResult, int]] | None = None

    def start(self) -> None:
        """Start the thread."""
        self._worker = NewestWorker(self._make_or_report, name=self._name)
        self._worker.start()

    def stop(self) -> None:
        """Finish what is in the making."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def publish(self, result: SetResult) -> None:
        """Hand a result to the thread if somebody looks."""
        self._restarts += bool(result.report.reset_reason)
        if self._worker is not None and self.has_listeners:
            self._worker.offer((result, self._restarts))

    def make(self, result: SetResult, restarts: int) -> None:
        """Make and publish the messages; runs in the thread.

        Args:
            result: the newest.
            restarts: resets so far, those of skipped results too.
        """
        raise NotImplementedError

    def _make_or_report(self, item: tuple[SetResult, int]) -> None:
        try:
            self.make(*item)
        except Exception as error:  # noqa: BLE001 - a dead thread would freeze the output
            self._report(f"{self._name} not published: {type(error).__name__}: {error}")
