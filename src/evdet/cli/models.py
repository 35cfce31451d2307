"""`evdet models`: every detector there is, how large it is, and what is published of it."""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from evdet.config import DetectionConfig

if TYPE_CHECKING:
    from evdet.models import Publication

__all__ = ["ModelsOptions", "models"]

_SSD = "SSD"
_QUICK_CONFIG = "events_digits_quick.yaml"
"""The shipped configuration whose SSD is smaller than the standard one, as the bundled one is."""
_BUNDLED_LICENCE = "CC BY-SA 3.0: trained on digits of MNIST"
_HOW_COUNTED = (
    "GMACs: multiply-accumulates of convolutions, matrix products and attention for one frame, "
    "from frame to candidates (torch.utils.flop_counter, halved); RVT counts the padded frame."
)
_NOT_OURS = "Published mAP is the papers'. It is not ours: evdet has not run these evaluations."


@dataclass(frozen=True, kw_only=True)
class ModelsOptions:
    """List every detector by name: parameters, arithmetic, published accuracy, licences."""

    height: int = 240
    """Height of a frame, in pixels."""
    width: int = 304
    """Width of a frame, in pixels."""
    in_channels: int = 20
    """Channels of a frame."""
    classes: int = 2
    """Classes, without background."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print everything as JSON."""


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A detector at the size that was asked for."""

    name: str
    chosen_by: str
    parameters: int
    gmacs: float | None
    problem: str | None
    published: "Publication | None"
    bundled: tuple[str, ...]


def models(options: ModelsOptions) -> None:
    """List the detectors.

    Args:
        options: what the user asked for.

    Raises:
        ValueError: a size is out of range.
    """
    for name in ("height", "width", "in_channels", "classes"):
        if getattr(options, name) < 1:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must be at least 1, got {getattr(options, name)}")
    found = [_measure(options, *choice) for choice in _choices()]
    if options.json:
        print(json.dumps(_as_dict(options, found), indent=1))
    else:
        print("\n".join(_table(options, found)))


def _choices() -> list[tuple[str, str, DetectionConfig]]:
    """Name, how it is chosen, and a configuration of it."""
    from evdet.build import DETECTORS, FEATURE_EXTRACTORS
    from evdet.configs import shipped_config

    standard = DetectionConfig()
    listed = [
        (
            f"{_SSD} {name}",
            "the default" if name == standard.feature_extractor else f"--feature-extractor {name}",
            dataclasses.replace(standard, feature_extractor=name),
        )
        for name in FEATURE_EXTRACTORS
    ]
    quick = shipped_config(_QUICK_CONFIG)
    listed.append((f"{_SSD} {quick.feature_extractor}, small", f"--config {_QUICK_CONFIG}", quick))
    return listed + [
        (name, f"--detector {name}", dataclasses.replace(standard, detector=name))
        for name in DETECTORS
        if name != _SSD
    ]


def _measure(options: ModelsOptions, name: str, chosen_by: str, config: DetectionConfig) -> _Model:
    import torch

    from evdet.build import build_detector
    from evdet.models import PUBLISHED
    from evdet.samples import WEIGHTS
    from evdet.speed import count_flops, count_parameters

    config = dataclasses.replace(
        config,
        dataset_path="none",
        preprocess="none",
        classes=tuple(f"class {number}" for number in range(options.classes)),
        in_channels=options.in_channels,
        height=options.height,
        width=options.width,
    )
    gmacs = problem = None
    # Shapes alone: no weight is drawn, and nothing is computed.
    with torch.device("meta"):
        detector = build_detector(config).eval()
        frame = torch.zeros(1, 1, options.in_channels, options.height, options.width)
        try:
            gmacs = count_flops(detector, frame) / 2e9
        except ValueError as error:
            problem = str(error)
    return _Model(
        name=name,
        chosen_by=chosen_by,
        parameters=count_parameters(detector),
        gmacs=gmacs,
        problem=problem,
        published=PUBLISHED.get(name.removeprefix(f"{_SSD} ")),
        bundled=WEIGHTS if chosen_by.endswith(_QUICK_CONFIG) else (),
    )


def _as_dict(options: ModelsOptions, found: list[_Model]) -> dict[str, Any]:
    return {
        "frame": [options.in_channels, options.height, options.width],
        "classes": options.classes,
        "counted": _HOW_COUNTED,
        "published": _NOT_OURS,
        "models": [
            {
                **dataclasses.asdict(model),
                "bundled": [{"name": name, "licence": _BUNDLED_LICENCE} for name in model.bundled],
            }
            for model in found
        ],
    }


def _table(options: ModelsOptions, found: list[_Model]) -> list[str]:
    lines = [
        f"frames of {options.height}x{options.width} (height x width), {options.in_channels} "
        f"channels; {options.classes} classes",
        "",
        f"{'detector':20}{'parameters':>12}{'GMACs':>8}  {'published mAP':27}chosen by",
    ]
    for model in found:
        gmacs = "-" if model.gmacs is None else f"{model.gmacs:.2f}"
        scores = model.published.scores if model.published else ()
        published = ", ".join(f"{score.map} {score.data_set}" for score in scores) or "-"
        lines.append(
            f"{model.name:20}{model.parameters:>12,}{gmacs:>8}  {published:27}{model.chosen_by}"
        )
    lines += [f"{model.name}: {model.problem}" for model in found if model.problem]
    lines += ["", _HOW_COUNTED, _NOT_OURS]
    papers = {model.published.url: model.published for model in found if model.published}
    for url, paper in papers.items():
        names = [model.name for model in found if model.published and model.published.url == url]
        protocols = dict.fromkeys(
            score.protocol
            for model in found
            if model.published and model.published.url == url
            for score in model.published.scores
        )
        lines += [
            "",
            f"{', '.join(names)}: {paper.title}, {paper.venue}, {url}",
            f"  protocols  {', '.join(protocols)}",
            f"  weights    {paper.weights}",
            f"  licence    {paper.licence}",
        ]
    for model in found:
        for name in model.bundled:
            lines += ["", f"{model.name}: weights {name} come with evdet; {_BUNDLED_LICENCE}"]
    return lines
