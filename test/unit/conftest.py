"""Shared set-up of the unit tests; this folder is on the import path, so tests can use `rigs`."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    # Networks of test size are slowed down several times by handing work between threads.
    torch.set_num_threads(1)
