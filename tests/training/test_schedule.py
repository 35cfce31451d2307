import pytest
from hypothesis import given, strategies as st

from evdet.config import DetectionConfig
from evdet.training.schedule import learning_rate

COUNT = st.integers(1, 30)


def rates(config, num_batches, max_epochs):
    return [
        learning_rate(
            config, epoch=epoch, batch=batch, num_batches=num_batches, max_epochs=max_epochs
        )
        for epoch in range(max_epochs)
        for batch in range(num_batches)
    ]


def test_exponential_falls_once_an_epoch():
    config = DetectionConfig(lr=1.0, lr_schedule="exponential", lr_scheduler_step_gamma=0.5)

    assert rates(config, 2, 3) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_one_cycle_rises_straight_then_falls_along_a_cosine():
    config = DetectionConfig(lr=1.0, lr_schedule="one_cycle", lr_warmup=0.5)

    assert rates(config, 4, 2) == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 0.853553, 0.5, 0.146447], abs=1e-6
    )


def test_one_cycle_works_without_a_warm_up_and_with_one_step():
    config = DetectionConfig(lr=1.0, lr_schedule="one_cycle", lr_warmup=0.0)

    assert rates(config, 1, 1) == [1]


def test_a_linear_cycle_starts_at_a_twentieth_and_ends_at_a_ten_thousandth():
    config = DetectionConfig(lr=1.0, lr_schedule="one_cycle_linear", lr_warmup=0.5)

    assert rates(config, 4, 2) == pytest.approx(
        [0.05, 0.2875, 0.525, 0.7625, 1, 0.6667, 0.3334, 0.0001], abs=1e-4
    )


@given(
    COUNT,
    COUNT,
    st.floats(0, 0.99),
    st.sampled_from(["exponential", "one_cycle", "one_cycle_linear"]),
)
def test_a_rate_is_never_zero_nor_above_lr(num_batches, max_epochs, warmup, schedule):
    config = DetectionConfig(lr=0.3, lr_schedule=schedule, lr_warmup=warmup)

    assert all(0 < rate <= 0.3 for rate in rates(config, num_batches, max_epochs))
