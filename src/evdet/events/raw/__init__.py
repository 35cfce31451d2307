"""RAW files: EVT2, EVT2.1 and EVT3 decoded, the index that makes them seekable; EVT3 written."""
