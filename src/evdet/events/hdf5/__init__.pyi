from .filters import load_hdf5plugin as load_hdf5plugin
from .inflation import CheckedDataset as CheckedDataset
from .outside import is_inside as is_inside
from .reader import open_hdf5 as open_hdf5
from .writer import write_dsec as write_dsec
