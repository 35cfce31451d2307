"""Attack evdet and print a table: `python tests/drill/run.py [--kind "full disk"]`.

Every attack has a temporary folder of its own, and what it opens is on the loopback interface.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from drill.attack import Attack, Skipped
from drill.kinds import ATTACKS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", nargs="*", choices=sorted({one.kind for one in ATTACKS}))
    options = parser.parse_args()
    attacks = [one for one in ATTACKS if options.kind is None or one.kind in options.kind]
    began, num_red, kind = time.perf_counter(), 0, ""
    for attack in attacks:
        if attack.kind != kind:
            kind = attack.kind
            print(f"\n{kind}")
        outcome, seconds = try_one(attack)
        num_red += outcome.startswith("RED")
        print(f"  {outcome.split(':')[0]:8}{seconds:6.1f} s  {attack.name}", flush=True)
        if ":" in outcome:
            print(f"{'':18}{outcome.partition(': ')[2]}", flush=True)
    print(f"\n{len(attacks)} attacks, {num_red} red, {time.perf_counter() - began:.0f} s")
    return 1 if num_red else 0


def try_one(attack: Attack) -> tuple[str, float]:
    """The outcome of one attack: green, RED with what went wrong, or skipped with why."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="evdet-drill-", ignore_cleanup_errors=True) as folder:
        try:
            wrong = attack.run(Path(folder))
            outcome = "green" if wrong is None else f"RED: {wrong}"
        except Skipped as reason:
            outcome = f"skipped: {reason}"
        except Exception:  # the table goes on
            outcome = f"RED: the drill itself failed: {traceback.format_exc(limit=-2)}"
    return outcome, time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
