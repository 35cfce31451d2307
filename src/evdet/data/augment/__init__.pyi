from .augmentation import (
    Augmentation as Augmentation,
    AugmentRules as AugmentRules,
    draw_augmentation as draw_augmentation,
)
