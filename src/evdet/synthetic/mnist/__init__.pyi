from .digits import SPLITS as SPLITS, load_digits as load_digits
