"""What the cases ask of the Python API, each job in a process of its own.

`jobs.py NAME FOLDER [ARGUMENT]...` leaves its results in FOLDER. Nothing but the names of
`evdet` itself is used, and of Lightning and TensorBoard.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

TINY = {
    "num_tbins": 2, "batch_size": 2, "max_frames_per_video": 8, "max_frames_per_epoch": 16,
    "val_frames": 12, "num_workers": 0, "feature_base": 2, "feature_channels_out": 4,
    "num_levels": 2, "head_channels": 4, "max_epochs": 3, "demo_every": 0, "accelerator": "cpu",
    "checkpoint_every_minutes": 0.0, "lr_schedule": "one_cycle", "score_thresh": 0.0005,
}  # fmt: skip
"""Three epochs of four steps: step 6 is in the middle of the second."""
TOY = {**TINY, "height": 32, "width": 32, "max_objects": 1}
SHORT = {"max_frames_per_epoch": 8, "max_epochs": 1, "lr_schedule": "exponential"}
RECIPE = {
    "sampling": "mixed", "hflip": 0.5, "zoom": 0.8, "stream_zoom_out": 0.5, "polarity_swap": 0.5,
    "event_drop": 0.2, "event_noise": 0.1, "optimizer": "adamw", "ema_decay": 0.9,
    "lr_schedule": "one_cycle_linear", "gradient_clip": 1.0, "gradient_clip_by": "value",
    "accumulate_batches": 2, "loss": "sigmoid_focal_loss",
}  # fmt: skip
VARIANTS = {
    "gru": {"feature_extractor": "VanillaGRU", "loss": "softmax_ohem_loss"},
    "vgg": {"feature_extractor": "VggLike", "head_layers": 1, "anchor_list": "COCO_ANCHORS"},
    "rvt": {"detector": "RVT-Tiny", "height": 64, "width": 64, "optimizer": "adamw"},
}
LOADERS = {
    **{
        name: {"preprocess": name}
        for name in (
            "histogram", "diff", "event_cube", "event_cube_5", "time_surface",
            "multi_channel_time_surface", "voxel_grid", "stacked_histogram",
            "stacked_histogram_rvt", "stacked_histogram_rvt_replay",
        )
    },
    "random": {"sampling": "random", "hflip": 0.5, "zoom": 0.5, "time_reversal": 0.5},
    "mixed": {key: RECIPE[key] for key in list(RECIPE)[:7]},
    "smaller": {"height": 64, "width": 96, "min_box_diag": 20.0, "clip_boxes": False},
    "cleaned": {"remove_hot_pixels": True, "background_filter": 5000},
    "workers": {"num_workers": 2},
    "merged": {"classes": ["0+1+2=low", "7"]},
}  # fmt: skip
STEP = 6


def train(folder, data):
    """Small trainings, whole and resumed in the middle of an epoch."""
    events = {**TINY, "dataset_path": data, "num_tbins": 8, "batch_size": 3}
    recipe = {**events, "batch_size": 4, **RECIPE}
    for name, fields in {"toy": TOY, "events": events, "recipe": recipe}.items():
        scratch = Path("shared/small_runs") / name
        middle = scratch / "middle.ckpt"
        with keeping_step(middle):
            keep_run(folder / name, run(scratch / "whole", fields))
        shutil.copy(middle, folder / f"{name}_step{STEP}.ckpt")
        keep_run(folder / f"{name}_resumed", run(scratch / "resumed", fields, resume=middle))
    for name, fields in VARIANTS.items():
        keep_run(folder / name, run(Path("shared/small_runs") / name, {**TOY, **SHORT, **fields}))


def resume(folder, data, checkpoint):
    """What is left of the training on events, from a checkpoint of an earlier version."""
    fields = {**TINY, "dataset_path": data, "num_tbins": 8, "batch_size": 3}
    scratch = Path("shared/resumed_run")
    keep_run(folder / "resumed", run(scratch, fields, resume=checkpoint))


def run(root, fields, resume=None):
    import evdet

    evdet.train(evdet.DetectionConfig(**fields, root_dir=str(root)), resume=resume)
    return root


class keeping_step:  # noqa: N801
    """Keep the checkpoint that is written after a step; Lightning's own method is the hook."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        import pytorch_lightning as pl

        self.trainer, self.save = pl.Trainer, pl.Trainer.save_checkpoint

        def save_and_copy(trainer, filepath, *args, **options):
            self.save(trainer, filepath, *args, **options)
            if trainer.global_step >= STEP and not self.path.exists():
                shutil.copy(filepath, self.path)

        pl.Trainer.save_checkpoint = save_and_copy

    def __exit__(self, *_):
        self.trainer.save_checkpoint = self.save


def keep_run(target, root):
    """The last checkpoint, and all that was logged, as text with all digits."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shutil.copy(root / "checkpoints" / "last.ckpt", target.with_suffix(".ckpt"))
    logs = EventAccumulator(str(root / "logs"), size_guidance={"scalars": 0})
    logs.Reload()
    lines = [
        f"{tag} step {event.step}: {event.value!r}"
        for tag in sorted(logs.Tags()["scalars"])
        for event in logs.Scalars(tag)
    ]
    target.with_suffix(".txt").write_text("\n".join(lines) + "\n")


def loaders(folder, data):
    """The first batches of every representation and way of sampling."""
    import evdet
    from evdet.build import complete_config

    plain = {"dataset_path": data, "num_tbins": 3, "batch_size": 2, "num_workers": 0}
    wanted = {name: {**plain, **fields} for name, fields in LOADERS.items()}
    wanted["toy"] = {key: TOY[key] for key in list(TOY)[:6]} | {"max_objects": 3}
    for name, fields in wanted.items():
        kept = []
        for split in ("train", "val", "test"):
            config = complete_config(evdet.DetectionConfig(**fields))
            loader = evdet.build_loader(config, split)
            for _, batch in zip(range(3), loader, strict=False):
                kept.append({key: batch[key] for key in sorted(batch) if key != "video_infos"})
                kept[-1]["videos"] = [f"{info}" for info in batch["video_infos"]]
                # Their content counts, in a tenth of the place.
                kept[-1]["inputs"] = summary(batch["inputs"])
        torch.save(kept, folder / f"{name}.pt")


def summary(frames):
    """Sums over rows and columns, and of values times their place, in float64."""
    frames = frames.double()
    place = torch.arange(frames[0, 0].numel(), dtype=torch.float64).reshape(frames.shape[2:])
    return {
        "rows": frames.sum(-1), "columns": frames.sum(-2), "squares": frames.square().sum((-1, -2)),
        "places": (frames * place).sum((-1, -2, -3)), "shape": list(frames.shape),
    }  # fmt: skip


def slices(folder, path):
    """Events of a recording, from the back: every slice asks for the index."""
    import evdet

    recording = evdet.open_recording(path)
    ends = range(recording.end, recording.start, -200_000)
    parts = [recording.slice(max(end - 3000, 0), end) for end in ends]
    np.save(folder / "slices.npy", np.concatenate(parts))
    about = [recording.format, tuple(recording.size), recording.start, recording.end]
    (folder / "recording.txt").write_text(f"{about} {len(recording)} events\n")


def main(name, folder, *arguments):
    torch.set_num_threads(1)
    Path(folder).mkdir(parents=True, exist_ok=True)
    jobs = {"train": train, "resume": resume, "loaders": loaders, "slices": slices}
    jobs[name](Path(folder), *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
