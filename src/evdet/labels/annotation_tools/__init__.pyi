from .class_names import class_names_of_tool as class_names_of_tool
from .prelabels import (
    PRELABEL_SUFFIXES as PRELABEL_SUFFIXES,
    FramesToLabel as FramesToLabel,
    write_cvat as write_cvat,
    write_label_studio as write_label_studio,
)
from .recognition import find_tool_reader as find_tool_reader
