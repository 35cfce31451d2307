import pytest
import torch

from evdet.detectors import automatic_threads, thread_count
from evdet.frame_spec import FrameSpec


def frames(height, width):
    return FrameSpec(
        preprocess="histogram", delta_t=1, height=height, width=width, in_channels=2,
        class_names=("car",),
    )  # fmt: skip


@pytest.fixture
def cores(monkeypatch):
    """A machine of some cores, on which the user has set nothing."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    def have(count, current=64):
        monkeypatch.setattr(thread_count, "num_cores", lambda: count)
        monkeypatch.setattr(torch, "get_num_threads", lambda: current)

    have(8)
    return have


@pytest.mark.parametrize(
    ("num_parameters", "spec", "threads"),
    [
        (0, None, 1),
        (18_500_000, None, 1),
        (793_490, frames(128, 128), 1),  # events-digits
        (4_410_000, frames(240, 304), 3),  # RVT-Tiny at the size of Gen1
        (18_500_000, frames(240, 304), 7),  # RVT-Base
    ],
)
def test_larger_networks_have_more_threads_and_leave_one_core_free(
    cores, num_parameters, spec, threads
):
    assert automatic_threads(num_parameters, spec) == threads


@pytest.mark.parametrize(("count", "threads"), [(1, 1), (2, 1), (3, 2), (64, 13)])
def test_the_number_follows_from_the_cores(cores, count, threads):
    cores(count)

    assert automatic_threads(18_500_000, frames(240, 304)) == threads


def test_several_processes_share_the_cores(cores):
    assert automatic_threads(18_500_000, frames(240, 304), num_processes=2) == 3
    assert automatic_threads(18_500_000, frames(240, 304), num_processes=9) == 1


def test_fewer_threads_that_were_set_before_are_not_exceeded(cores):
    cores(8, current=2)

    assert automatic_threads(18_500_000, frames(240, 304)) == 2


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_in_the_environment_is_taken_as_it_is(cores, monkeypatch, name):
    cores(2, current=4)
    monkeypatch.setenv(name, "4")

    assert automatic_threads(793_490, frames(128, 128)) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000\n", 2), ("150000 100000\n", 2), ("10000 100000\n", 1), ("max 100000\n", 6),
     ("", 6), ("900000 100000\n", 6), ("1 0\n", 6)],
)  # fmt: skip
def test_the_quota_of_a_container_limits_the_cores(monkeypatch, tmp_path, text, expected):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(thread_count, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr("psutil.Process.cpu_affinity", lambda self: list(range(6)), raising=False)

    assert thread_count.num_cores() == expected


def test_a_mac_has_no_affinity_and_all_its_cores_count(monkeypatch, tmp_path):
    monkeypatch.setattr(thread_count, "_QUOTA", tmp_path / "nowhere")
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.delattr("psutil.Process.cpu_affinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 10)

    assert thread_count.num_cores() == 10


def test_without_a_container_the_affinity_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(thread_count, "_QUOTA", tmp_path / "nowhere")
    monkeypatch.setattr("psutil.Process.cpu_affinity", lambda self: [3], raising=False)

    assert thread_count.num_cores() == 1
