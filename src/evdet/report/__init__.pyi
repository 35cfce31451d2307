from .comparison_page import write_comparison as write_comparison
from .contents import Picture as Picture, RunReport as RunReport
from .environment import describe_environment as describe_environment
from .page import write_report as write_report
from .recording_plot import plot_recording as plot_recording
from .run_folder import SPEED_FILE as SPEED_FILE, read_run as read_run
from .scalars import read_scalars as read_scalars
