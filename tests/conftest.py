"""Options, profiles and limits for the whole suite."""

import signal
from pathlib import Path

import pytest
import torch
from hypothesis import is_hypothesis_test, settings

settings.register_profile("default", deadline=None, max_examples=30)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile("default")

# Seconds; the limit of all others stands in pyproject.toml.
SLOW_LIMIT = 1200


def pytest_addoption(parser):
    parser.addoption(
        "--event-data", type=Path, help="folder of real recordings; without it those tests skip"
    )


def pytest_collection_modifyitems(config, items):
    """More time for tests that train or try thousands of examples; laws end with their process."""
    on_gpu = torch.cuda.is_available()
    is_long = config.getoption("--hypothesis-profile") == "long"
    for item in items:
        is_law = is_hypothesis_test(getattr(item, "obj", None))
        if "gpu" in item.keywords and not on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs an accelerator"))
        limits = {}
        if "slow" in item.keywords or (is_law and is_long):
            limits["timeout"] = SLOW_LIMIT
        if is_law:
            # hypothesis takes the signal's exception for a failed example, and tries it again,
            # without a limit.
            limits["method"] = "thread"
        if limits:
            item.add_marker(pytest.mark.timeout(**limits))


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
