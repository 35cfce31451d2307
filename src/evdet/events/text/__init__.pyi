from .parser import PROBLEMS as PROBLEMS, parse_lines as parse_lines
from .reader import (
    TEXT_MARK as TEXT_MARK,
    TextEventFile as TextEventFile,
    look_at_lines as look_at_lines,
    open_text as open_text,
)
