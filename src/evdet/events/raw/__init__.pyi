from .decoder import decode_words as decode_words
from .header import (
    MAX_EVT_HEADER as MAX_EVT_HEADER,
    EvtHeader as EvtHeader,
    decoded_size as decoded_size,
    parse_evt_header as parse_evt_header,
)
from .payload import (
    MIN_PAYLOAD as MIN_PAYLOAD,
    PAYLOADS as PAYLOADS,
    guess_payload as guess_payload,
    payload_header as payload_header,
)
from .reader import open_payload as open_payload, open_raw as open_raw
from .state import (
    BAD_TIME as BAD_TIME,
    BAD_X as BAD_X,
    BAD_Y as BAD_Y,
    BEFORE_CLOCK as BEFORE_CLOCK,
    COORDINATE_BITS as COORDINATE_BITS,
    DROPPED as DROPPED,
    HIGH_TIME as HIGH_TIME,
    LATEST as LATEST,
    OK as OK,
    OUTSIDE as OUTSIDE,
    STATUS as STATUS,
    TIME as TIME,
    WORD as WORD,
    EvtFormat as EvtFormat,
    new_state as new_state,
)
from .writer import (
    Evt3Encoder as Evt3Encoder,
    evt3_header as evt3_header,
    write_evt3 as write_evt3,
)
