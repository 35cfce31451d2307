"""`python -m benchmarks`: every table, on this machine."""

import torch

from benchmarks import (
    curves,
    decoding,
    detection,
    feeding,
    generator,
    network,
    representations,
    scoring,
    selection,
)
from benchmarks.measure import Row
from evdet.report import describe_environment


def main() -> None:
    """Print one table."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name, value in describe_environment().items():
        print(f"{name:18}{value}")
    print(f"{'threads':18}{torch.get_num_threads()}\n")
    print(f"{'what':58}{'value':>10}{'floor':>10}  {'unit':10}{'of floor':>9}")
    for rows in (
        decoding.rows(),
        representations.rows(),
        feeding.rows(),
        generator.rows(),
        detection.rows(device),
        network.rows(device),
        selection.rows(device),
        scoring.rows(),
        curves.rows(),
    ):
        for row in rows:
            print(_line(row))


def _line(row: Row) -> str:
    floor = share = ""
    if row.floor is not None:
        floor = _number(row.floor)
        faster_is_more = row.unit.endswith("/s")
        ratio = row.value / row.floor if faster_is_more else row.floor / row.value
        share = f"{ratio:.0%}"
    text = f"{row.what:58}{_number(row.value):>10}{floor:>10}  {row.unit:10}{share:>9}"
    return f"{text}  {row.note}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
