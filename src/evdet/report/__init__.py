"""A run -> one self-contained HTML page."""

from evdet.report.contents import Picture, RunReport
from evdet.report.environment import describe_environment
from evdet.report.page import write_report
from evdet.report.scalars import read_scalars

__all__ = ["Picture", "RunReport", "describe_environment", "read_scalars", "write_report"]
