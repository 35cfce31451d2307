"""Many sources -> the outputs of each, by one detector in each process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evdet.cli.detect.one_source import detect_in, raise_problem
from evdet.cli.detect.options import DetectOptions
from evdet.cli.detect.plan import describe_plan
from evdet.cli.detect.source import choose_source
from evdet.cli.many import (
    DoJob,
    Job,
    ManyCommand,
    OpenBar,
    Place,
    device_at,
    digest_of,
    find_pictures,
    num_devices_for,
    plan_many,
    run_many,
    settings_of,
    share_of_threads,
)
from evdet.data import find_recordings
from evdet.detectors import checkpoint_file, num_cores, open_detector, use_threads
from evdet.events.live import STANDARD_INPUT, is_camera_name
from evdet.frame_spec import PICTURES
from evdet.outputs import check_output_libraries
from evdet.pipeline import frame_spec_of
from evdet.sources import check_picture_camera, is_picture_camera

__all__ = ["detect_in_many"]


def detect_in_many(options: DetectOptions) -> None:
    """Detect in several sources.

    Args:
        options: checked.

    Raises:
        ValueError: an option is for one source, or results would replace others.
        FailedFilesError: some sources failed; the others are done.
    """
    if options.output:
        raise ValueError(
            "--output names the files of one source: for several give --output-dir DIR and "
            "--save, such as --save mp4 csv"
        )
    _refuse_live(options.sources)
    if options.live_source.follow:
        raise ValueError("--follow is for one recording: name it alone, with --output")
    options.live.check(is_live=False, is_pictures=False)
    check_output_libraries(options.many_files.suffixes)
    detector = open_detector(
        options.checkpoint, device="cpu", num_threads=1, providers=options.provider
    )
    takes_pictures = frame_spec_of(detector).preprocess == PICTURES
    command = ManyCommand(
        name="detect",
        doing="Detecting",
        words=options.sources,
        work=_DetectWork(options),
        find_in=find_pictures if takes_pictures else find_recordings,
        what="videos and no folders with images" if takes_pictures else "recordings",
        settings=_settings_of(options),
        read=options.files_read,
        num_devices=num_devices_for(options.device),
    )
    if options.print_config:
        plan = plan_many(command, options.many_files)
        print(describe_plan(detector, options, plan.jobs, finished=plan.finished))
        return
    run_many(command, options.many_files)
    if options.many_files.output_dir is None:
        print("use --output-dir found --save mp4 csv to write files")


def _refuse_live(sources: Sequence[str]) -> None:
    for source in sources:
        name = None
        if source == STANDARD_INPUT:
            name = "standard input"
        elif is_camera_name(source):
            name = source
        elif is_picture_camera(source) and not Path(source).exists():
            name = check_picture_camera(source).name
        if name is not None:
            raise ValueError(f"{name} is live: name it alone, with --output")


def _settings_of(options: DetectOptions) -> dict[str, str]:
    """What decides the boxes besides the sources."""
    but = ("sources", "output", "many_files", "device", "threads", "print_config")
    found = settings_of(options, but=but)
    found["--checkpoint"] += f" {digest_of(checkpoint_file(options.checkpoint))}"
    if options.label_map is not None:
        found["--label-map"] += f" {digest_of(Path(options.label_map))}"
    return found


@dataclass(frozen=True)
class _DetectWork:
    """Detection in one of many sources."""

    options: DetectOptions

    def start(self, place: Place) -> DoJob:
        """Open the detector, on an accelerator of its own where there are several."""
        options, threads = self.options, share_of_threads(self.options.threads, place)
        detector = open_detector(
            options.checkpoint,
            device=device_at(place, options.device),
            num_threads=threads or num_cores() // place.count or 1,
            providers=options.provider,
        )
        use_threads(detector, threads, num_processes=place.count)

        def do(job: Job, open_bar: OpenBar) -> None:
            chosen = choose_source(
                str(job.source), live=options.live, start=options.start, delta_t=options.delta_t
            )
            if chosen.is_live:
                raise ValueError(f"{job.source} is a live source: detect in it alone")
            ended = detect_in(chosen, detector, options, job.outputs, open_bar=open_bar)
            if ended.summary.num_frames:
                print("\n".join(ended.summary.lines()[:2]))
            raise_problem(ended, str(job.source))

        return do
