from .npz import open_npz as open_npz
from .reader import open_nmnist as open_nmnist, open_npy as open_npy
