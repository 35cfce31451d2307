"""A run -> one self-contained HTML page; several runs -> one that compares them."""

from evdet.report.comparison_page import write_comparison
from evdet.report.contents import Picture, RunReport
from evdet.report.environment import describe_environment
from evdet.report.page import write_report
from evdet.report.run_folder import SPEED_FILE, read_run
from evdet.report.scalars import read_scalars

__all__ = [
    "SPEED_FILE",
    "Picture",
    "RunReport",
    "describe_environment",
    "read_run",
    "read_scalars",
    "write_comparison",
    "write_report",
]
