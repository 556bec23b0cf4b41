"""Threads that numerical libraries start by themselves."""

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
