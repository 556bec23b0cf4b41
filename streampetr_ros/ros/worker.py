"""One thread that always takes the newest frame set; older ones give way."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

#: Longest wait for an idle worker to begin, seconds.
_HANDOVER_S = 0.01


class NewestWorker(Generic[T]):
    """Runs a function on the newest item offered, in a thread of its own.

    Args:
        process: the function; must not raise.
        torch_threads: CPU threads that torch may use in it; 0 leaves its choice.
        name: of the thread.

    Attributes:
        overtaken: items that gave way to newer ones.
    """

    def __init__(
        self, process: Callable[[T], None], torch_threads: int = 0, name: str = "detection"
    ) -> None:
        self.overtaken = 0
        self._process = process
        self._torch_threads = torch_threads
        self._slot: T | None = None
        self._running = self._is_idle = False
        self._news = Condition()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._running = True
        self._thread.start()

    def offer(self, item: T) -> None:
        """Hand over an item; one that still waits is dropped.

        An idle worker has normally begun when this returns: whatever the caller did next would hold
        it up, because only one thread of Python runs at a time.
        """
        with self._news:
            self.overtaken += self._slot is not None
            self._slot = item
            self._news.notify_all()
            if self._is_idle:
                self._news.wait_for(lambda: self._slot is not item, _HANDOVER_S)

    @property
    def is_behind(self) -> bool:
        """Whether an item waits."""
        return self._slot is not None

    def discard(self) -> None:
        """Drop the item that waits."""
        with self._news:
            self._slot = None

    def stop(self) -> None:
        """Let the item in progress finish, drop the one that waits, end the thread."""
        with self._news:
            self._running = False
            self._slot = None
            self._news.notify_all()
        self._thread.join()

    def _run(self) -> None:
        # OpenMP keeps the number of threads per calling thread.
        if self._torch_threads:
            torch.set_num_threads(self._torch_threads)
        while True:
            with self._news:
                self._is_idle = True
                self._news.wait_for(lambda: self._slot is not None or not self._running)
                self._is_idle = False
                if not self._running or self._slot is None:
                    return
                item, self._slot = self._slot, None
                self._news.notify_all()
            self._process(item)
