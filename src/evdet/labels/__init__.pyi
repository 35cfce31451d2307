from .annotation_tools import (
    PRELABEL_SUFFIXES as PRELABEL_SUFFIXES,
    FramesToLabel as FramesToLabel,
    write_cvat as write_cvat,
    write_label_studio as write_label_studio,
)
from .binning import (
    BinnedBoxes as BinnedBoxes,
    LabeledTimes as LabeledTimes,
    bin_boxes as bin_boxes,
    bins_of as bins_of,
    describe_counts as describe_counts,
)
from .box_rules import BoxRules as BoxRules, apply_rules as apply_rules, is_outside as is_outside
from .classes import (
    ClassChoice as ClassChoice,
    apply_classes as apply_classes,
    choose_classes as choose_classes,
)
from .conversion import (
    LABEL_FORMATS as LABEL_FORMATS,
    class_lists_beside as class_lists_beside,
    class_names_in as class_names_in,
    find_format as find_format,
    write_labels as write_labels,
)
from .files import (
    LabelError as LabelError,
    read_boxes as read_boxes,
    write_boxes_npy as write_boxes_npy,
)
from .frame_files import is_frame_folder as is_frame_folder
from .label_ids import OWN_IDS as OWN_IDS, choose_label_ids as choose_label_ids
from .label_map import (
    LABEL_MAP_FILE as LABEL_MAP_FILE,
    LABEL_SUFFIXES as LABEL_SUFFIXES,
    LABEL_TAIL as LABEL_TAIL,
    FolderError as FolderError,
    find_label_map as find_label_map,
    key_of as key_of,
    published_classes as published_classes,
    read_label_map as read_label_map,
)
from .npy import is_box_npy as is_box_npy
from .source import RecordingFacts as RecordingFacts, RecordingSpan as RecordingSpan
from .writers import BOX_SUFFIXES as BOX_SUFFIXES, BoxWriter as BoxWriter
