"""Options and profiles for the whole suite."""

import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption(
        "--event-data", type=Path, help="folder of real recordings; without it those tests skip"
    )


@pytest.fixture(autouse=True, scope="session")
def _interruptible():
    """Ctrl-C works in tests and in what they start, under `nohup` and in the background, too.

    A shell has these ignore SIGINT, and what they start inherits that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def event_data(request):
    folder = request.config.getoption("--event-data")
    if folder is None:
        pytest.skip("needs --event-data DIR, a folder of real recordings")
    return folder


@pytest.fixture(autouse=True)
def _reproducible():
    """The same weights and data in every run; one thread, since small shapes gain from none."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
