from .control_characters import (
    escape_controls as escape_controls,
    escaped_output as escaped_output,
    unescaped_output as unescaped_output,
)
from .progress import tqdm as tqdm
from .signs import allow_any_encoding as allow_any_encoding, in_plain_signs as in_plain_signs
