import torch
from torch import nn

from evdet import open_detector
from evdet.models import RVT, RVT_PLANS, detector_html


def test_a_detector_without_a_frame_spec_is_shown():
    detector = RVT(RVT_PLANS["RVT-Tiny"], 2, 1)

    assert repr(detector).startswith("RVT(")
    assert "1 class, memory of 8 tensors)" in repr(detector)
    assert "not stated" in detector._repr_html_()


def test_a_line_says_what_a_detector_takes_and_finds():
    assert repr(open_detector("events-digits")) == (
        "SSD(1,083,101 parameters, histogram of 128x128, 50 ms, 10 classes, memory of 6 tensors)"
    )


def test_a_page_has_the_size_of_the_memory():
    detector = open_detector("events-digits")
    _, memory = detector.step(torch.zeros(1, 1, 2, 128, 128))
    num_bytes = sum(part.numel() * part.element_size() for part in memory)

    page = detector._repr_html_()

    assert f"6 tensors, {num_bytes / 1e3:.0f} kB for each recording" in page


def test_showing_a_detector_leaves_it_as_it_was():
    detector = open_detector("events-digits")
    before = {name: value.clone() for name, value in detector.state_dict().items()}

    detector._repr_html_()
    detector.train()
    detector._repr_html_()

    for name, value in detector.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_network_that_cannot_be_followed_is_shown_without_the_size_of_its_memory():
    detector = open_detector("events-digits")
    detector.find_candidates = lambda *_: 1 / 0

    assert "6 tensors</td>" in detector._repr_html_()


def test_printing_a_detector_shows_its_layers():
    detector = open_detector("events-digits")

    assert str(detector) == nn.Module.__repr__(detector)
    assert "Conv2d" in str(detector)


def test_names_of_classes_are_no_code():
    class Named:
        frame_spec, num_classes, memory_names, knows_time = None, 1, (), False

    Named.__name__ = "<script>"
    assert "<script>" not in detector_html(Named())
