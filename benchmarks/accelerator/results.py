"""The results of the checks -> one JSON file and one Markdown table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["CheckResult", "Figure", "as_markdown", "write_results"]


@dataclass(frozen=True)
class Figure:
    """One number that a check found."""

    what: str
    value: float
    unit: str


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check."""

    name: str
    outcome: str
    """pass, FAIL or skipped."""
    seconds: float
    figures: tuple[Figure, ...] = field(default=())
    note: str = ""
    """Why it failed or was skipped."""

    def line(self) -> str:
        """The result on one line."""
        found = "; ".join(_said(figure) for figure in self.figures)
        parts = [part for part in (found, self.note) if part]
        return f"{self.name:22} {self.outcome:8} {self.seconds:5.0f} s  {'; '.join(parts)}".rstrip()


def as_markdown(
    results: Sequence[CheckResult], environment: Mapping[str, str], *, is_toy: bool
) -> str:
    """Write the results as a Markdown section, headed by the device's name."""
    device = environment.get("accelerator", environment["processor"])
    lines = [f"### {device}", ""]
    if is_toy:
        lines += ["Toy sizes: these numbers show that the checks run, and measure nothing.", ""]
    versions = ", ".join(f"{name} {environment[name]}" for name in ("evdet", "torch", "python"))
    lines += [
        f"{versions}; `make accelerator`.",
        "",
        "| check | outcome | result |",
        "|---|---|---|",
    ]
    for result in results:
        found = "<br>".join([*map(_said, result.figures), *([result.note] if result.note else [])])
        lines.append(f"| {result.name} | {result.outcome} | {found.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def write_results(
    folder: Path,
    results: Sequence[CheckResult],
    environment: Mapping[str, str],
    *,
    is_toy: bool,
) -> None:
    """Write accelerator.json and accelerator.md into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "environment": dict(environment),
        "is_toy": is_toy,
        "checks": [asdict(result) for result in results],
    }
    (folder / "accelerator.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = as_markdown(results, environment, is_toy=is_toy)
    (folder / "accelerator.md").write_text(text, encoding="utf-8")


def _said(figure: Figure) -> str:
    value = f"{figure.value:,.0f}" if abs(figure.value) >= 100 else f"{figure.value:.3g}"
    return f"{figure.what} {value} {figure.unit}".rstrip()
