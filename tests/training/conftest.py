"""A run so small that it trains in half a second."""

import pytest

from evdet.config import DetectionConfig


@pytest.fixture(scope="session")
def tiny():
    """Two epochs of six batches, T = 2, B = 2, frames of 32x32."""

    def config(root_dir, **changes):
        values = {
            "height": 32,
            "width": 32,
            "num_tbins": 2,
            "batch_size": 2,
            "max_frames_per_video": 6,
            "max_frames_per_epoch": 24,
            "val_frames": 12,
            "max_objects": 1,
            "num_workers": 0,
            "feature_base": 2,
            "feature_channels_out": 4,
            "num_levels": 2,
            "head_channels": 4,
            "max_epochs": 2,
            "demo_every": 0,
            "accelerator": "cpu",
        }
        return DetectionConfig(**{**values, **changes}, root_dir=str(root_dir))

    return config
