"""Checkpoints of other projects -> ours, by renaming their weights."""

from evdet.import_weights.rvt import RVT_NAMES, import_rvt, published_name

__all__ = ["RVT_NAMES", "import_rvt", "published_name"]
