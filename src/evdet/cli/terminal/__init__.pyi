from .control_characters import (
    escape_controls as escape_controls,
    escaped_output as escaped_output,
    unescaped_output as unescaped_output,
)
from .progress import tqdm as tqdm
from .reasons import is_for_users as is_for_users, reason_of as reason_of
from .signs import allow_any_encoding as allow_any_encoding, in_plain_signs as in_plain_signs
from .standard_output import (
    OutputClosedError as OutputClosedError,
    errors_of_output as errors_of_output,
    finished_output as finished_output,
)
