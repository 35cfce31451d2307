"""Published accuracies, weights and licences of these networks.

The numbers are those of the papers, not of evdet: its authors do not have the automotive data sets.
"""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Publication", "PublishedScore"]


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """An accuracy as a paper reports it."""

    data_set: str
    """The data set whose test recordings it was measured on."""
    protocol: str
    """The equivalent evaluation protocol of evdet."""
    map: float
    """COCO average precision, mean over IoU 0.50 to 0.95 and classes, in percent."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A paper on a network, and its published weights."""

    title: str
    """Title of the paper."""
    venue: str
    """Conference and year."""
    url: str
    """Address of the paper."""
    scores: tuple[PublishedScore, ...]
    """The accuracies that it reports."""
    weights: str
    """Which trained weights are available, and how evdet reads them."""
    licence: str
    """Licence of these weights."""


_RED = Publication(
    title="Learning to detect objects with a 1 megapixel event camera",
    venue="NeurIPS 2020",
    url="https://arxiv.org/abs/2009.13436",
    scores=(
        PublishedScore(data_set="Gen1", protocol="perot2020-gen1", map=40.0),
        PublishedScore(data_set="1 Mpx", protocol="perot2020-1mpx", map=43.0),
    ),
    weights="none published with the paper",
    licence="none; models in Prophesee's software are under Prophesee's own licence",
)


def _rvt(*scores: PublishedScore) -> Publication:
    return Publication(
        title="Recurrent vision transformers for object detection with event cameras",
        venue="CVPR 2023",
        url="https://arxiv.org/abs/2212.05598",
        scores=scores,
        weights="Gen1 and 1 Mpx, at https://github.com/uzh-rpg/RVT; `evdet import` converts them",
        licence="published with the MIT-licensed repository, without a licence of their own",
    )


def _s5_vit(gen1: float, one_mpx: float) -> Publication:
    return Publication(
        title="State space models for event cameras",
        venue="CVPR 2024",
        url="https://arxiv.org/abs/2402.15584",
        scores=(
            PublishedScore(data_set="Gen1", protocol="s5-gen1", map=gen1),
            PublishedScore(data_set="1 Mpx", protocol="s5-1mpx", map=one_mpx),
        ),
        weights="Gen1 and 1 Mpx, at https://github.com/uzh-rpg/ssms_event_cameras; `evdet import` "
        "converts them. Trained and scored without memory between clips of 21 and 10 frames, since "
        "the released code does not use the state that it returns; evdet carries it",
        licence="published with the MIT-licensed repository, without a licence of their own",
    )


_EVRT_DETR = Publication(
    title="EvRT-DETR: latent space adaptation of image detectors for event-based vision",
    venue="ICCV 2025",
    url="https://arxiv.org/abs/2412.02890",
    scores=(
        PublishedScore(data_set="Gen1", protocol="evrtdetr-gen1", map=52.7),
        PublishedScore(data_set="1 Mpx", protocol="evrtdetr-1mpx", map=50.1),
    ),
    weights="Gen1 and 1 Mpx, at https://zenodo.org/records/14548751; `evdet import` converts them",
    licence="published for BSD-3-licensed code, https://github.com/realtime-intelligence/evrt-detr",
)


PUBLISHED = {
    "Vanilla": _RED,
    "RVT-Tiny": _rvt(PublishedScore(data_set="Gen1", protocol="rvt-gen1", map=44.1)),
    "RVT-Small": _rvt(PublishedScore(data_set="Gen1", protocol="rvt-gen1", map=46.5)),
    "RVT-Base": _rvt(
        PublishedScore(data_set="Gen1", protocol="rvt-gen1", map=47.2),
        PublishedScore(data_set="1 Mpx", protocol="rvt-1mpx", map=47.4),
    ),
    "S5-ViT-Small": _s5_vit(46.6, 46.5),
    "S5-ViT-Base": _s5_vit(47.7, 47.8),
    "EvRT-DETR-R50": _EVRT_DETR,
}
"""By the name of a detector, or, for the SSD, of its feature extractor at its standard size."""
