"""`evdet models`: every detector with its size and published accuracy."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import tyro

from evdet.build import DETECTORS, FEATURE_EXTRACTORS, build_detector
from evdet.cli.options import Flag, check_at_least, counted
from evdet.config import DetectionConfig
from evdet.configs import shipped_config
from evdet.events import SensorSize, parse_size
from evdet.models import PUBLISHED, Publication
from evdet.samples import SAMPLES, WEIGHTS
from evdet.speed import count_flops, count_parameters

__all__ = ["ModelsOptions", "models"]

_SSD = "SSD"
_QUICK_CONFIG = "events_digits_quick.yaml"
"""The shipped configuration whose SSD is smaller than the standard one, as the bundled one is."""
_BUNDLED_LICENCE = "CC BY-SA 4.0: trained on digits of MNIST and N-MNIST"
_HOW_COUNTED = (
    "GMACs: multiply-accumulates of convolutions, matrix products and attention for one frame, "
    "from frame to candidates (torch.utils.flop_counter, halved); RVT counts the padded frame."
)
_ELSEWHERE = (
    "Trained weights of others: hf://ORG/NAME in place of a checkpoint (pip install 'evdet[hub]'), "
    "or a folder that evdet export wrote."
)
_NOT_OURS = "Published mAP: numbers of the papers, not ours; evdet has not run these evaluations."


@dataclass(frozen=True, kw_only=True)
class ModelsOptions:
    """List every detector: parameters, operations, published accuracy, licences."""

    sensor_size: Annotated[str, tyro.conf.arg(metavar="WxH")] = "304x240"
    """Frame width and height in pixels."""
    in_channels: int = 20
    """Number of channels of a frame."""
    classes: int = 2
    """Number of classes without background."""
    json: Flag = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A detector at one frame size."""

    name: str
    chosen_by: str
    parameters: int
    gmacs: float | None
    problem: str | None
    published: Publication | None
    bundled: tuple[str, ...]


def models(options: ModelsOptions) -> None:
    """List the detectors.

    Raises:
        ValueError: a size is out of range.
    """
    check_at_least(1, options, "in_channels", "classes")
    size = parse_size(options.sensor_size, name="--sensor-size")
    found = [_measure(options, size, *choice) for choice in _choices()]
    if options.json:
        print(json.dumps(_as_dict(options, size, found), indent=1))
    else:
        print("\n".join(_table(options, size, found)))


def _choices() -> list[tuple[str, str, DetectionConfig]]:
    """Name, the option that chooses it, and its configuration."""
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


def _measure(
    options: ModelsOptions, size: SensorSize, name: str, chosen_by: str, config: DetectionConfig
) -> _Model:
    config = dataclasses.replace(
        config,
        dataset_path="none",
        preprocess="none",
        classes=tuple(f"class {number}" for number in range(options.classes)),
        in_channels=options.in_channels,
        height=size.height,
        width=size.width,
    )
    gmacs = problem = None
    # Shapes alone: no weight is drawn, and nothing is computed.
    with torch.device("meta"):
        detector = build_detector(config).eval()
        frame = torch.zeros(1, 1, options.in_channels, *size)
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


def _as_dict(options: ModelsOptions, size: SensorSize, found: list[_Model]) -> dict[str, Any]:
    return {
        "frame": [options.in_channels, *size],
        "classes": options.classes,
        "counted": _HOW_COUNTED,
        "published": _NOT_OURS,
        "elsewhere": _ELSEWHERE,
        "models": [
            {
                **dataclasses.asdict(model),
                "bundled": [{"name": name, "licence": _BUNDLED_LICENCE} for name in model.bundled],
            }
            for model in found
        ],
    }


def _table(options: ModelsOptions, size: SensorSize, found: list[_Model]) -> list[str]:
    lines = [
        f"frames of {size}, {counted(options.in_channels, 'channel')}; "
        f"{counted(options.classes, 'class')}",
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
    lines += ["", _HOW_COUNTED, _NOT_OURS, _ELSEWHERE]
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
            lines += [
                "",
                f"{model.name}: weights {name} are bundled with evdet; {_BUNDLED_LICENCE}",
                f"  recordings {', '.join(SAMPLES)} are bundled, too: evdet detect {SAMPLES[0]}",
            ]
    return lines
