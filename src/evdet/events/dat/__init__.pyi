from .decoder import OUTSIDE as OUTSIDE, decode as decode
from .header import (
    MAX_DAT_SIDE as MAX_DAT_SIDE,
    DatHeader as DatHeader,
    parse_header as parse_header,
)
from .reader import open_dat as open_dat, write_dat as write_dat
from .records import RECORD_DTYPE as RECORD_DTYPE
