from .event_file import (
    MAX_STEP_BACK as MAX_STEP_BACK,
    EventFile as EventFile,
    SeekableEventFile as SeekableEventFile,
    SizedEventFile as SizedEventFile,
    TriggeredEventFile as TriggeredEventFile,
)
from .forward_file import ForwardFile as ForwardFile
from .joining import join_events as join_events
from .read_options import (
    AS_STATED as AS_STATED,
    FORMAT_NAMES as FORMAT_NAMES,
    TIME_UNITS as TIME_UNITS,
    ReadOptions as ReadOptions,
    StreamChoiceError as StreamChoiceError,
    choose_stream as choose_stream,
)
from .slicing import (
    MAX_GAP as MAX_GAP,
    BlockSummary as BlockSummary,
    OrderCount as OrderCount,
    check_blocks as check_blocks,
    check_slice as check_slice,
    cut_bins as cut_bins,
    cut_by_count as cut_by_count,
    sort_by_time as sort_by_time,
    summarize_blocks as summarize_blocks,
)
