from .dialect import is_comment as is_comment
from .encoding import (
    TextEncoding as TextEncoding,
    TextRecoder as TextRecoder,
    detect_encoding as detect_encoding,
    is_text as is_text,
)
from .layout import TextLayout as TextLayout, find_layout as find_layout
from .parser import PROBLEMS as PROBLEMS, parse_lines as parse_lines
from .reader import (
    TextEventFile as TextEventFile,
    has_event_header as has_event_header,
    is_event_table as is_event_table,
    open_text as open_text,
)
