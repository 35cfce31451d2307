"""The README.md beside weights: metadata for the Hub, then what a user needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import yaml

from evdet.config import TOY_PROBLEM, DetectionConfig
from evdet.models import Detector

__all__ = ["CardScores", "write_card"]

_TIME = "%Y-%m-%d %H:%M UTC"
_MINUTE = 60.0
_MAX_CLASSES = 40
_METRICS = (("mAP", "mAP"), ("mAP50", "mAP at IoU 0.50"), ("mAP75", "mAP at IoU 0.75"))


@dataclass(frozen=True, kw_only=True)
class CardScores:
    """Scores that a card states."""

    values: Mapping[str, float]
    """By name in evaluation.json."""
    protocol: str
    """How they were measured."""
    dataset: str
    """Name of the data set."""
    split: str
    """Its part."""
    num_frames: int
    """Annotated frames."""
    deviations: tuple[str, ...]
    """Deviations from the protocol, in words."""

    @classmethod
    def of_evaluation(cls, numbers: Mapping[str, Any], *, written: float) -> "CardScores | None":
        """Read the scores of evaluation.json.

        Args:
            numbers: its content.
            written: when the checkpoint was written, in seconds since 1970.

        Returns:
            The scores; None where they are older than the checkpoint, or the file lacks them.
        """
        try:
            when = datetime.strptime(str(numbers["evaluated"]), _TIME).replace(tzinfo=UTC)
            if when.timestamp() + _MINUTE < written:
                return None
            return cls(
                values={
                    name: float(numbers[name]) for name, _ in _METRICS if numbers[name] is not None
                },
                protocol=str(numbers["protocol"]),
                dataset=str(numbers["dataset"]).rstrip("/").rpartition("/")[2],
                split=str(numbers["split"]),
                num_frames=int(numbers["num_frames"]),
                deviations=tuple(map(str, numbers["rules"]["deviations"])),
            )
        except (KeyError, TypeError, ValueError):
            return None


def write_card(
    name: str,
    detector: Detector,
    config: DetectionConfig,
    *,
    license: str,
    source: str,
    scores: CardScores | None,
) -> str:
    """Write a model card.

    Args:
        name: of the model.
        detector: whose weights it describes.
        config: of its training.
        license: of the weights, as the Hub spells it.
        source: the checkpoint, as the user named it.
        scores: of its evaluation; None where there is none.
    """
    header = yaml.safe_dump(_metadata(name, config, license, scores), sort_keys=False)
    parts = [
        f"---\n{header}---\n",
        f"# {_plain(name)}\n",
        "An object detector with memory for "
        f"{'pictures' if _is_of_pictures(config) else 'event recordings'}, trained with "
        "[evdet](https://pypi.org/project/evdet/).\n",
        _facts(detector, config),
        _use(),
        _training(config, source),
        _evaluation(scores),
        _limits(config),
    ]
    return "\n".join(parts)


def _metadata(
    name: str, config: DetectionConfig, license: str, scores: CardScores | None
) -> dict[str, Any]:
    kind = "video" if _is_of_pictures(config) else "event-camera"
    metadata: dict[str, Any] = {
        "license": license,
        "library_name": "evdet",
        "pipeline_tag": "object-detection",
        "tags": ["evdet", "object-detection", kind, config.detector.lower()],
    }
    if scores is not None:
        metadata["metrics"] = list(scores.values)
        metadata["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "object-detection"},
                        "dataset": {
                            "name": scores.dataset,
                            "type": scores.dataset,
                            "split": scores.split,
                        },
                        "metrics": [
                            {
                                "type": one,
                                "value": round(value, 4),
                                "name": f"{dict(_METRICS)[one]} ({scores.protocol})",
                            }
                            for one, value in scores.values.items()
                        ],
                    }
                ],
            }
        ]
    return metadata


def _is_of_pictures(config: DetectionConfig) -> bool:
    return config.dataset_path == TOY_PROBLEM or config.frame_spec.preprocess == "none"


def _facts(detector: Detector, config: DetectionConfig) -> str:
    spec = config.frame_spec
    names = [f"{label} {_plain(name)}" for label, name in enumerate(spec.class_names, 1)]
    if len(names) > _MAX_CLASSES:
        names = [*names[:_MAX_CLASSES], f"and {len(names) - _MAX_CLASSES} more (config.json)"]
    network = config.detector
    if network == "SSD":
        network += f" with {config.feature_extractor}"
    weights = sum(weight.numel() for weight in detector.parameters())
    rows = {
        "detector": network,
        "parameters": f"{weights:,}",
        "memory": ", ".join(detector.memory_names) or "none",
        "frame": f"{spec.width}x{spec.height} pixels, {spec.in_channels} channels",
        "representation": spec.preprocess,
        "time bin": f"{spec.delta_t:,} microseconds",
        "classes": ", ".join(names),
        "score threshold": f"{spec.thresholds.score_thresh:g} in the evaluation",
    }
    return _table(rows, head="| property | value |")


def _use() -> str:
    return (
        "## Use\n\n"
        "```bash\n"
        "pip install 'evdet[hub]'\n"
        "evdet detect RECORDING --checkpoint hf://ORG/NAME --output boxes.csv\n"
        "evdet evaluate hf://ORG/NAME --dataset-path FOLDER\n"
        "evdet train --finetune hf://ORG/NAME --dataset-path FOLDER\n"
        "```\n\n"
        "```python\n"
        "import evdet\n\n"
        'detector = evdet.load_detector("hf://ORG/NAME")  # or the path of this folder\n'
        "```\n"
    )


def _training(config: DetectionConfig, source: str) -> str:
    toy = config.dataset_path == TOY_PROBLEM
    data = "Moving MNIST, made on the fly" if toy else config.dataset_path.rpartition("/")[2]
    rows = {
        "data set": _plain(data),
        "epochs": f"{config.max_epochs}, of which this checkpoint may be an earlier one",
        "clips": f"{config.num_tbins} time bins, {config.batch_size} side by side",
        "optimizer": f"{config.optimizer}, learning rate {config.lr:g}, {config.lr_schedule}",
        "loss": config.loss,
        "seed": str(config.seed),
        "checkpoint": _plain(source.rpartition("/")[2] or source),
        "evdet": version("evdet"),
    }
    return f"## Training\n\n{_table(rows, head='| setting | value |')}\nAll are in `config.json`.\n"


def _evaluation(scores: CardScores | None) -> str:
    if scores is None:
        return "## Evaluation\n\nThe run has no evaluation of this checkpoint (`evdet evaluate`).\n"
    rows = {what: f"{scores.values[one]:.3f}" for one, what in _METRICS if one in scores.values}
    deviations = "; ".join(scores.deviations) or "none"
    return (
        f"## Evaluation\n\n{_table(rows, head='| score | value |')}\n"
        f"Protocol `{scores.protocol}` on {scores.num_frames:,} annotated frames of "
        f"{_plain(scores.dataset)}, {_plain(scores.split)}; deviations: {_plain(deviations)}.\n"
    )


def _limits(config: DetectionConfig) -> str:
    spec = config.frame_spec
    kind = "pictures" if _is_of_pictures(config) else "recordings"
    return (
        "## Limits\n\n"
        f"- The detector knows {kind} like those of its training, and these classes only.\n"
        f"- Objects have the sizes, in pixels, of frames of {spec.width}x{spec.height}; a time bin "
        f"lasts {spec.delta_t:,} microseconds.\n"
        "- Memory begins empty: the first time bins have fewer boxes.\n"
        "- It has not been examined for use where a missed object is dangerous.\n"
    )


def _table(rows: Mapping[str, str], *, head: str) -> str:
    lines = [head, "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text that ends no cell, and starts no HTML or link."""
    signs = {"|": "\\|", "<": "&lt;", "[": "\\[", "`": "\\`"}
    one_line = " ".join(text.split())
    return "".join(signs.get(sign, sign) for sign in one_line if sign.isprintable())
