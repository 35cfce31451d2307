"""Read many damaged files of each format: `python tests/fuzz/run.py --count 100000 --format dat`.

The run repeats itself for the same seed. Files that were neither read nor refused are kept. Of
formats whose every reading starts a process (AEDAT4, ES) there are a 200th as many.
"""

import argparse
import sys
import time
from pathlib import Path

from fuzz_loop import fuzz
from tqdm import tqdm

# For the modules that other tests share.
sys.path.append(str(Path(__file__).parents[1]))

from fuzz_samples import FOREIGN, SAMPLES
from label_samples import LABEL_SAMPLES, exercise_labels
from tool_samples import TOOL_SAMPLES, exercise_tools

ALL = {**SAMPLES, **LABEL_SAMPLES, **TOOL_SAMPLES}
READERS = {
    **dict.fromkeys(LABEL_SAMPLES, exercise_labels),
    **dict.fromkeys(TOOL_SAMPLES, exercise_tools),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="files of each format")
    parser.add_argument("--format", nargs="*", choices=ALL, default=list(ALL))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), metavar="FOLDER")
    options = parser.parse_args()
    num_failures = 0
    for name in options.format:
        suffix, make, wrap, format_name = ALL[name]
        count = max(1, options.count // 200) if name in FOREIGN else options.count
        began = time.perf_counter()
        with tqdm(total=count, desc=name, unit="file", disable=None) as bar:
            outcome = fuzz(
                make(),
                suffix,
                count=count,
                wrap=wrap,
                read=READERS.get(name),
                format_name=format_name,
                seed=options.seed,
                first=options.first,
                progress=bar.update,
            )
        answers = ", ".join(f"{count} {answer}" for answer, count in outcome.answers.most_common())
        print(
            f"{name}: {answers or 'nothing'}, {len(outcome.failures)} failed; "
            f"slowest {outcome.slowest:.2f} s, most memory {outcome.peak_memory >> 20} MB, "
            f"{time.perf_counter() - began:.0f} s in all",
            flush=True,
        )
        for failure in outcome.failures:
            options.keep.mkdir(parents=True, exist_ok=True)
            path = options.keep / f"{name}-{options.seed}-{failure.number}{suffix}"
            path.write_bytes(failure.content)
            print(f"  {path}: {failure.reason.strip().splitlines()[-1]}", flush=True)
            path.with_suffix(".txt").write_text(failure.reason)
        num_failures += len(outcome.failures)
    return min(num_failures, 1)


if __name__ == "__main__":
    sys.exit(main())
