"""Several replays side by side: in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from streampetr_ros.core.errors import first_line
from streampetr_ros.core.source import SourceError
from streampetr_ros.tools.replay.job import ReplayJob, run_job
from streampetr_ros.tools.reporting import expected_sentence


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        job: as given.
        summary: of the replay; None if it failed.
        error: why it failed, in a sentence.
    """

    job: ReplayJob
    summary: Mapping[str, Any] | None
    error: str


def attempt(job: ReplayJob) -> Outcome:
    """Run a job; expected failures come back as a sentence, so that other jobs go on."""
    try:
        return Outcome(job, run_job(job, lambda _: None, lambda _done, _total: None), "")
    except Exception as error:
        sentence = expected_sentence(error)
        if sentence is None:
            raise
        return Outcome(job, None, sentence)


def run_in_processes(jobs: Sequence[ReplayJob], processes: int) -> Iterator[Outcome]:
    """Run jobs in so many processes at a time; yield each as it ends."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(attempt, job): job for job in jobs}
        for future in as_completed(waiting):
            yield _outcome(future, waiting[future])


def run_on_ray(jobs: Sequence[ReplayJob], address: str) -> Iterator[Outcome]:
    """Run each job as a task of a Ray cluster; yield each as it ends.

    Args:
        jobs: sources and folders must be reachable under the same names from all machines.
        address: of the cluster; "local" starts one on this machine.

    Raises:
        SourceError: if Ray is not installed or the cluster does not answer.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise SourceError("--ray-address needs the package ray; pip install ray") from error
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    # Ray has no class of its own for what goes wrong at a start.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"no Ray cluster answers at '{address}': {reason}") from error
    # A task whose machine is lost goes on from the state that its folder holds.
    task = ray.remote(num_cpus=1, max_retries=2)(attempt)
    waiting = {task.remote(job): job for job in jobs}
    try:
        while waiting:
            [ended], _ = ray.wait(list(waiting), num_returns=1)
            yield _collected(ray, ended, waiting.pop(ended))
    finally:
        ray.shutdown()


def _collected(ray: Any, ended: Any, job: ReplayJob) -> Outcome:
    try:
        outcome: Outcome = ray.get(ended)
    except ray.exceptions.RayTaskError:
        raise  # a defect of ours, which shows with its trace
    except ray.exceptions.RayError as error:
        return Outcome(
            job,
            None,
            f"the task of '{job.source}' was lost ({first_line(error)}); the same command goes on "
            "where it stopped",
        )
    return outcome


def _outcome(future: Future[Outcome], job: ReplayJob) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(
            job,
            None,
            f"the process of '{job.source}' was ended from outside, perhaps for lack of memory; "
            "the same command goes on where it stopped, with fewer --jobs if memory is short",
        )
