from .locks import BusyError as BusyError, held as held, only_writer as only_writer
from .signals import (
    ENDING_SIGNALS as ENDING_SIGNALS,
    EndedError as EndedError,
    children_without_signals as children_without_signals,
    dead_children_reported as dead_children_reported,
    ending_signals_raise as ending_signals_raise,
    exit_status as exit_status,
    leave_signals_to_parent as leave_signals_to_parent,
    report_dead_children_where_awaited as report_dead_children_where_awaited,
)
