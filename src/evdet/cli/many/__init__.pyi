from .board import FailedFilesError as FailedFilesError, failed_files as failed_files
from .inputs import (
    find_inputs as find_inputs,
    find_pictures as find_pictures,
    is_input_folder as is_input_folder,
    is_one_input as is_one_input,
)
from .jobs import Job as Job
from .journal import Settings as Settings
from .options import ManyOptions as ManyOptions
from .places import (
    device_at as device_at,
    num_devices_for as num_devices_for,
    share_of_threads as share_of_threads,
)
from .progress import OpenBar as OpenBar
from .running import (
    ManyCommand as ManyCommand,
    plan_many as plan_many,
    run_many as run_many,
)
from .settings import digest_of as digest_of, settings_of as settings_of
from .working import DoJob as DoJob, Place as Place
