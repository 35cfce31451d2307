"""Curves as a table, logs/metrics.csv, which a resumed run continues.

Lightning's own CSV logger removes the file of the run that is resumed.
"""

import argparse
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from evdet.atomic_file import write_text

__all__ = ["CsvCurves"]

_STEP = "step"


class CsvCurves(Logger):
    """Writes a row for every call, with a column for every name.

    Args:
        path: the file; it is made at the first row.
        first_step: a file of an interrupted run loses its rows from this step on; 0 begins anew.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path = path
        self._first_step = first_step
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Lightning's name of a logger: that of the file."""
        return self.path.name

    @property
    def version(self) -> str:
        """Lightning's version of a logger: none."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | argparse.Namespace, *args: Any) -> None:
        """Nothing: config.yaml of the run holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row.

        Args:
            metrics: values by name.
            step: of the training; None where there is none.

        Raises:
            OSError: the file cannot be written.
        """
        row = {_STEP: "" if step is None else str(step)}
        row |= {name: repr(float(value)) for name, value in metrics.items()}
        if self._columns is None:
            self._columns, rows = self._rows_to_keep()
            self._rewrite(rows)
        if new := [name for name in row if name not in self._columns]:
            rows = _read(self.path)
            self._columns += new
            self._rewrite(rows)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)

    def _rows_to_keep(self) -> tuple[list[str], list[dict[str, str]]]:
        rows = _read(self.path) if self._first_step and self.path.exists() else []
        kept = [row for row in rows if row.get(_STEP, "").isdigit()]
        kept = [row for row in kept if int(row[_STEP]) < self._first_step]
        return (list(kept[0]) if kept else [_STEP]), kept

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns or [_STEP], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, text.getvalue())


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a file, without a last line that a killed process has not ended."""
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    names, *lines = list(csv.reader(io.StringIO(whole))) or [[]]
    return [dict(zip(names, line, strict=True)) for line in lines if len(line) == len(names)]
