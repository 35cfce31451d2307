"""`evdet check`: problems of a data set folder, and what training will use of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from evdet.cli.options import Flag, ReadingOptions, asked_size, check_at_least, default
from evdet.cli.terminal import tqdm
from evdet.data import CheckReport, Finding, check_folder
from evdet.labels import BoxRules

__all__ = ["CheckOptions", "check", "describe_report"]

# Findings of one kind that are shown; published data sets have the same fault in every file.
_NUM_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Read a data set folder once; report problems, and what training will use."""

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]]
    """Data set folder with train/, val/ and test/."""
    delta_t: Annotated[int, tyro.conf.arg(metavar="US")] = 50_000
    """Duration of a time bin in microseconds."""
    classes: Annotated[tuple[str, ...], default("all in the label map")] = ()
    """Classes to train; car+truck=vehicle merges two."""
    min_box_diag: float = 0.0
    """Minimum box diagonal in sensor pixels; smaller boxes are ignored."""
    min_box_side: float = 0.0
    """Minimum box side in sensor pixels; smaller boxes are ignored."""
    max_box_share: float = 1.0
    """Maximum box width as a share of the sensor width; 1 keeps all boxes."""
    clip_boxes: bool = True
    """Clip boxes to the sensor, and ignore boxes outside it."""
    frame_period: Annotated[int | None, default("--delta-t", "US")] = None
    """Frame period in microseconds, for labels numbered by frame."""
    sensor_size: Annotated[str | None, default("as stated in the file", "WxH")] = None
    """Sensor width and height in pixels, where recordings state none or a wrong one."""
    reading: tyro.conf.OmitArgPrefixes[ReadingOptions] = field(default_factory=ReadingOptions)
    """How to read the recordings."""
    show_all: Flag = False
    """List every file, not only the first few of each kind of finding."""


def check(options: CheckOptions) -> int:
    """Check a data set folder and print the findings.

    Returns:
        The exit status: 0, or 1 if there are problems.
    """
    check_at_least(1, options, "delta_t", "frame_period")
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
        options=options.reading.options(),
        size=asked_size(options.sensor_size),
        progress=lambda entries: tqdm(entries, desc="Checking", unit="recording", leave=False),
    )
    print(describe_report(report, num_shown=None if options.show_all else _NUM_SHOWN))
    return 1 if report.problems else 0


def describe_report(report: CheckReport, *, num_shown: int | None = _NUM_SHOWN) -> str:
    """Put a report into words.

    Args:
        report: of a data set folder.
        num_shown: files to list for each kind of finding; None lists all.
    """
    folder = report.folder
    label_map = ", ".join(f"{i} {name}" for i, name in folder.label_map.items())
    lines = [f"{folder.path}: {folder.layout} layout; classes on disk: {label_map}"]
    for title, findings in (("problems", report.problems), ("remarks", report.remarks)):
        lines += ["", f"{title}: {len(findings) or 'none'}"]
        lines += _list(findings, folder.path, num_shown)
    lines += ["", f"used by training, in time bins of {report.delta_t / 1e3:g} ms"]
    lines += _table(report)
    for split, use in report.splits.items():
        left_out = {reason: n for reason, n in use.left_out.items() if n and reason != "clipped"}
        parts = [f"{n:,} {reason}" for reason, n in left_out.items()]
        clipped = use.left_out["clipped"]
        parts += [f"({clipped:,} clipped)"] if clipped else []
        if parts:
            lines.append(f"{split}: ignored boxes: {', '.join(parts)}")
    return "\n".join(lines)


def _list(findings: list[Finding], root: Path, num_shown: int | None) -> list[str]:
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
            lines.append(f"    ... and {len(alike) - num_shown} more: --show-all lists them")
    return lines


def _table(report: CheckReport) -> list[str]:
    header = ["", "recordings", "duration", "events", "time bins", "labeled", *report.classes]
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
