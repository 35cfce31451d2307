from .column_names import (
    NOTHING as NOTHING,
    ROLES as ROLES,
    ColumnName as ColumnName,
    find_roles as find_roles,
    group_columns as group_columns,
    missing_roles as missing_roles,
    read_column_name as read_column_name,
    size_in_names as size_in_names,
)
from .column_order import (
    AmbiguousOrderError as AmbiguousOrderError,
    fits_order as fits_order,
    looks_like_events as looks_like_events,
    order_from_option as order_from_option,
    order_of_columns as order_of_columns,
)
from .event_file import (
    MAX_STEP_BACK as MAX_STEP_BACK,
    BinnedEventFile as BinnedEventFile,
    EventFile as EventFile,
    SeekableEventFile as SeekableEventFile,
    SizedEventFile as SizedEventFile,
    SurveyedEventFile as SurveyedEventFile,
    TriggeredEventFile as TriggeredEventFile,
)
from .file_bytes import FileBytes as FileBytes, OpenedBytes as OpenedBytes
from .forward_file import ForwardFile as ForwardFile
from .gaps import (
    MAX_EMPTY_BINS as MAX_EMPTY_BINS,
    skip_gaps as skip_gaps,
    warn_of_gap as warn_of_gap,
)
from .joining import join_events as join_events
from .number_columns import (
    NUMBER_KINDS as NUMBER_KINDS,
    NumberColumns as NumberColumns,
    precision_note as precision_note,
    to_events as to_events,
)
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
from .time_unit import (
    SAMPLE_ROWS as SAMPLE_ROWS,
    TimeScale as TimeScale,
    choose_time_scale as choose_time_scale,
)
