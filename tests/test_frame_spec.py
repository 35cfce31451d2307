import dataclasses

import pytest

from evdet.frame_spec import FrameSpec


def test_a_spec_cannot_be_changed():
    spec = FrameSpec(
        preprocess="histogram", delta_t=1, height=2, width=3, in_channels=2, class_names=("a",)
    )

    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.height = 4
