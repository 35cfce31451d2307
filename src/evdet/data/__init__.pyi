from .augment.augmentation import Augmentation as Augmentation, AugmentRules as AugmentRules
from .batch import (
    Batch as Batch,
    Clip as Clip,
    ClipInfo as ClipInfo,
    ClipShape as ClipShape,
    make_batch as make_batch,
)
from .check import CheckReport as CheckReport, Finding as Finding, check_folder as check_folder
from .clips import FrameSource as FrameSource, LabeledRecording as LabeledRecording
from .drawn_durations import DurationRange as DurationRange
from .folder import (
    SPLITS as SPLITS,
    DatasetFolder as DatasetFolder,
    open_folder as open_folder,
    read_labels as read_labels,
)
from .folder_layouts import (
    RecordingEntry as RecordingEntry,
    find_recordings as find_recordings,
    labels_beside as labels_beside,
    layout_of as layout_of,
)
from .frames_file import is_metavision_tensors as is_metavision_tensors
from .lanes import LanePlan as LanePlan, assign_lanes as assign_lanes
from .mixed_loader import MixedLoader as MixedLoader
from .random_clips import RandomClips as RandomClips
from .recording_frames import (
    RecordingFrames as RecordingFrames,
    open_recordings as open_recordings,
)
from .sequential_clips import SequentialClips as SequentialClips
from .split import (
    SPLIT_JOURNAL as SPLIT_JOURNAL,
    SplitPlan as SplitPlan,
    do_split as do_split,
    plan_split as plan_split,
    undo_split as undo_split,
)
from .split_recordings import NoObjectsError as NoObjectsError, check_objects as check_objects
from .stream_loader import (
    LostWorkerError as LostWorkerError,
    StreamLoader as StreamLoader,
    Streams as Streams,
)
from .tensors import TensorFrames as TensorFrames, open_tensors as open_tensors
