from .class_names import (
    class_lists_beside as class_lists_beside,
    class_names_in as class_names_in,
)
from .writing import (
    LABEL_FORMATS as LABEL_FORMATS,
    find_format as find_format,
    write_labels as write_labels,
)
