"""HDF5 files: DSEC's layout, also written; Metavision's and its codec."""
