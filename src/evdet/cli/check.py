"""`evdet check`: what is wrong with a data set folder, and what training will use of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from evdet.data import CheckReport, Finding

__all__ = ["CheckOptions", "check", "describe_report"]

# Findings of one kind that are shown; published data sets have the same fault in every file.
_NUM_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Read a data set folder once: say what is wrong, and what training will use."""

    folder: tyro.conf.Positional[Path]
    """Folder with train/, val/ and test/."""
    delta_t: int = 50_000
    """Duration of one time bin, in microseconds."""
    classes: tuple[str, ...] = ()
    """Classes to train, such as car or car+truck=vehicle; by default all of the label map."""
    min_box_diag: float = 0.0
    """Boxes with a shorter diagonal are left out, in pixels of the sensor."""
    min_box_side: float = 0.0
    """Boxes with a shorter side are left out, in pixels of the sensor."""
    max_box_share: float = 1.0
    """Boxes wider than this share of the sensor are left out; 1 keeps them all."""
    clip_boxes: bool = True
    """Cut boxes off at the border of the sensor, and leave out those wholly outside."""
    frame_period: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Microseconds from frame to frame, for labels numbered by frame; by default delta_t."""
    show_all: bool = False
    """Name every file, not the first few of each kind of finding."""


def check(options: CheckOptions) -> int:
    """Check a data set folder and print what was found.

    Args:
        options: what the user asked for.

    Returns:
        The exit status: 0, or 1 where there are problems.
    """
    from tqdm import tqdm

    from evdet.data import check_folder
    from evdet.labels import BoxRules

    report = check_folder(
        options.folder,
        delta_t=options.delta_t,
        classes=options.classes,
        rules=BoxRules(
            min_box_diag=options.min_box_diag,
            min_box_side=options.min_box_side,
            max_box_share=options.max_box_share,
            clip=options.clip_boxes,
        ),
        frame_period=options.frame_period,
        progress=lambda entries: tqdm(entries, desc="Checking", unit="recording", leave=False),
    )
    print(describe_report(report, num_shown=None if options.show_all else _NUM_SHOWN))
    return 1 if report.problems else 0


def describe_report(report: "CheckReport", *, num_shown: int | None = _NUM_SHOWN) -> str:
    """Put a report into words.

    Args:
        report: of a data set folder.
        num_shown: files to name for each kind of finding; None names all.

    Returns:
        The lines.
    """
    folder = report.folder
    label_map = ", ".join(f"{i} {name}" for i, name in folder.label_map.items())
    lines = [f"{folder.path}: {folder.layout} layout; on disk the classes are {label_map}"]
    for title, findings in (("problems", report.problems), ("remarks", report.remarks)):
        lines += ["", f"{title}: {len(findings) or 'none'}"]
        lines += _list(findings, folder.path, num_shown)
    lines += ["", f"what training uses, in bins of {report.delta_t / 1e3:g} ms"]
    lines += _table(report)
    for split, use in report.splits.items():
        left_out = {reason: n for reason, n in use.left_out.items() if n and reason != "clipped"}
        parts = [f"{n:,} {reason}" for reason, n in left_out.items()]
        clipped = use.left_out["clipped"]
        parts += [f"({clipped:,} clipped)"] if clipped else []
        if parts:
            lines.append(f"{split}: boxes left out: {', '.join(parts)}")
    return "\n".join(lines)


def _list(findings: "list[Finding]", root: Path, num_shown: int | None) -> list[str]:
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    lines = []
    for kind, alike in by_kind.items():
        lines.append(f"  {kind} ({len(alike)})")
        for finding in alike[:num_shown]:
            path = finding.path
            name = path.relative_to(root) if path != root and path.is_relative_to(root) else path
            lines.append(f"    {name}: {finding.text}")
        if num_shown is not None and len(alike) > num_shown:
            lines.append(f"    ... and {len(alike) - num_shown} more: --show-all names them")
    return lines


def _table(report: "CheckReport") -> list[str]:
    header = ["", "recordings", "duration", "events", "bins", "labelled", *report.classes]
    rows = [header]
    for split, use in report.splits.items():
        rows.append(
            [
                split,
                f"{use.num_recordings:,}",
                f"{use.duration / 1e6:,.1f} s",
                f"{use.num_events:,}",
                f"{use.num_bins:,}",
                f"{use.num_labeled_bins:,}",
                *(f"{use.boxes[name]:,}" for name in report.classes),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]
