from .nmnist import doubt_nmnist as doubt_nmnist, open_nmnist as open_nmnist
from .npz import open_npz as open_npz
from .reader import open_npy as open_npy
