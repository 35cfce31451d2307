"""Makes memory_in_seconds.png: what is left of an event, by frames and by seconds.

Usage: python docs/images/make_memory_in_seconds.py

The left curves are those of a memory that keeps the same share from frame to frame, as an LSTM does
whose forget gate stays where it is. The right ones are computed by `evdet.models.S5`, with one
state and the duration of each frame.
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

from evdet.models import S5

matplotlib.use("agg")
from matplotlib import pyplot

FOLDER = Path(__file__).parent
TRAINED = 0.05  # seconds of a frame
SECONDS = 3.0
KEPT = 0.95  # of a frame of the training
RATES = (10, 20, 50, 100)
COLORS = ("#d9822b", "#8b949e", "#1f6feb", "#2da44e")


def main() -> None:
    """Write the picture beside this script."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for rate, color in zip(RATES, COLORS, strict=True):
        durations = np.full(round(SECONDS * rate), 1 / rate)
        ends = np.append(0, np.cumsum(durations))
        label = f"{rate} Hz" + (", as trained" if rate * TRAINED == 1 else "")
        left.plot(ends, KEPT ** np.arange(len(ends)), color=color, label=label)
        same = "10, 20, 50 and 100 Hz" if rate == RATES[-1] else None
        kept = np.append(1, left_of_an_event(durations))
        right.plot(ends, kept, color=color, linewidth=3.5, alpha=0.5, label=same)
    irregular = np.random.default_rng(3).choice([0.005, 0.02, 0.05, 0.1, 0.2], 60)
    ends = np.cumsum(irregular)
    shown = ends <= SECONDS
    right.plot(ends[shown], left_of_an_event(irregular)[shown], "k.", label="irregular frames")
    left.set(title="an LSTM fades frame by frame", ylabel="left of an event")
    right.set(title="S5 fades by the second, at any rate")
    for axes in (left, right):
        axes.set(xlim=(0, SECONDS), ylim=(0, 1), xlabel="seconds after the event")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(FOLDER / "memory_in_seconds.png", dpi=120)


def left_of_an_event(durations: np.ndarray) -> np.ndarray:
    """The state of S5 after each frame, as a share of that before the first."""
    layer = S5(1)
    # A frame of the training keeps KEPT of it, by the bilinear rule.
    rate = 2 * (1 - KEPT) / (1 + KEPT)
    with torch.no_grad():
        layer.eigenvalues.copy_(torch.tensor([[-rate, 0.0]]))
        layer.log_step.zero_()
        memory = (torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        states = []
        for duration in durations:
            scale = torch.full((1, 1), float(duration / TRAINED))
            _, memory = layer.step(torch.zeros(1, 1, 1, 1, 1), memory, step_scale=scale)
            states.append(float(memory[0]))
    return np.array(states)


if __name__ == "__main__":
    main()
