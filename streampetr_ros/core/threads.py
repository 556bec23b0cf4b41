"""Threads of programs: those that numerical libraries start, and which of ours goes first."""

from __future__ import annotations

import os

from threadpoolctl import threadpool_limits


def keep_linear_algebra_in_one_thread() -> None:
    """Stop NumPy and SciPy from sharing linear algebra among threads, here and in child processes.

    Ours is of four by four matrices. OpenBLAS 0.3.23, which NumPy 1.26.4 carries, wakes its other
    threads for each of their inverses all the same, and these then ask for work in a busy loop for
    tens of milliseconds: a core is lost to a process that does this at every frame. For the main
    function of programs; a library must not decide this.
    """
    threadpool_limits(limits=1, user_api="blas")
    # Processes started from here load their own library, which reads this.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def let_others_go_first() -> None:
    """Lower the real-time priority of the calling thread by one, if it has one that can be lowered.

    For threads of bulk work: Linux lets a real-time thread that has just become ready wait until
    others of the same priority sleep, which they do only when their work is done. Shares of time
    are given otherwise, so that there is nothing to change without real-time priority.
    """
    if not hasattr(os, "sched_getscheduler"):
        return
    policy = os.sched_getscheduler(0)
    priority = os.sched_getparam(0).sched_priority
    if priority > 1:
        os.sched_setscheduler(0, policy, os.sched_param(priority - 1))
