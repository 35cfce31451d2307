from .comparison_page import write_comparison as write_comparison
from .contents import Picture as Picture, RunReport as RunReport
from .environment import describe_environment as describe_environment
from .file_contents import check_content as check_content
from .gathering import read_run as read_run, read_scalars as read_scalars
from .page import write_report as write_report
from .recording_plot import plot_recording as plot_recording
