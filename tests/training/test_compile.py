import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evdet.config import write_config

SCRIPT = Path(__file__).with_name("compiled_run.py")
needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "c++")) is None,
    reason="torch.compile needs a C++ compiler, and there is none",
)


def run(config, folder, backend, **environment):
    write_config(config, folder / "run.yaml")
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "run.yaml"), backend],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def once(tiny, folder, **changes):
    return tiny(folder, max_epochs=1, max_frames_per_epoch=12, num_levels=1, **changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        pytest.param("inductor", {}, marks=needs_compiler),
        pytest.param("inductor", {"detector": "RVT-Tiny"}, marks=needs_compiler),
        ("aot_eager", {}),
        ("aot_eager", {"detector": "RVT-Tiny"}),
        ("aot_eager", {"ema_decay": 0.5, "accumulate_batches": 2}),
    ],
)
def test_a_compiled_training_ends_where_the_plain_one_does(tiny, tmp_path, backend, options):
    done = run(once(tiny, tmp_path, **options), tmp_path, backend)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    plain, compiled = found["plain"], found["compiled"]
    assert plain["graphs"] == 0 < compiled["graphs"]
    assert compiled["losses"][0] == pytest.approx(plain["losses"][0], rel=1e-4)
    # From then on rounding may decide which candidate answers for an object.
    assert compiled["losses"] == pytest.approx(plain["losses"], rel=5e-2)
    # Its checkpoint has been loaded like any other.
    assert compiled["weights"] == plain["weights"]


@pytest.mark.slow
def test_a_machine_that_cannot_compile_is_told_so_in_one_line(tiny, tmp_path):
    done = run(
        once(tiny, tmp_path),
        tmp_path,
        "inductor",
        CXX=str(tmp_path / "no-such-compiler"),
        TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache"),
    )

    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: torch.compile cannot compile the network")
    assert "--compile" in last
