"""`evdet detect`: a recording, a video or a live stream -> boxes, tracks, and a video; or many."""

from pathlib import Path

from evdet.cli.detect.many_sources import detect_in_many
from evdet.cli.detect.one_source import detect_in, print_summary, raise_problem
from evdet.cli.detect.options import DetectOptions
from evdet.cli.detect.plan import describe_plan
from evdet.cli.detect.source import choose_source
from evdet.cli.many import Job, is_one_input
from evdet.detectors import open_detector, use_threads
from evdet.outputs import check_outputs, prepare_files, recording_files

__all__ = ["detect"]


def detect(options: DetectOptions) -> None:
    """Detect in a source from start to end, or as long as it lasts; or in many.

    Raises:
        ValueError: options, sources and detector do not fit.
        RecordingError: the source cannot be read.
        UnfinishedError: damage or a full disk ended it early.
        FailedFilesError: some of many sources failed; the others are done.
    """
    options.check()
    first, *others = options.sources
    if others or options.many_files.output_dir is not None or not is_one_input(first):
        detect_in_many(options)
        return
    source = options.sources[0]
    chosen = choose_source(source, live=options.live, start=options.start, delta_t=options.delta_t)
    is_read = [*options.files_read, *recording_files(chosen.path)]
    check_outputs(options.output, is_read)
    prepare_files([options.live.record], read=is_read)
    detector = open_detector(
        options.checkpoint,
        device=options.device,
        num_threads=options.threads,
        providers=options.provider,
    )
    use_threads(detector, options.threads)
    if options.print_config:
        print(describe_plan(detector, options, [Job(source=Path(source), outputs=options.output)]))
        return
    ended = detect_in(chosen, detector, options, options.output)
    print_summary(ended, options)
    raise_problem(ended, source)
