from .nmnist import doubt_nmnist as doubt_nmnist, open_nmnist as open_nmnist
from .reader import open_npy as open_npy
