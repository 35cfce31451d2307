"""The configuration of a training run, in one frozen dataclass."""

import math
import re
from dataclasses import dataclass

from evdet.frame_spec import FrameSpec, SelectionThresholds

__all__ = ["LOGGERS", "MAX_THREADS", "TOY_PROBLEM", "ConfigError", "DetectionConfig"]

TOY_PROBLEM = "toy_problem"
LOGGERS = ("tensorboard", "csv", "wandb", "mlflow")
"""Names of what records the curves of a training."""
MAX_THREADS = 1024
"""More threads than any machine has cores: a larger number is a mistake."""
# Sizes beyond any detector: a mistake, or a file that is to fill the memory.
_MOST = {
    "height": 1 << 14, "width": 1 << 14, "in_channels": 4096, "num_tbins": 10_000,
    "batch_size": 100_000, "num_workers": 1024, "feature_base": 4096, "num_levels": 12,
    "feature_channels_out": 1 << 14, "head_channels": 1 << 14, "head_layers": 64,
    "max_boxes_per_input": 1_000_000, "max_objects": 1000, "devices": 1 << 16, "num_nodes": 1 << 16,
}  # fmt: skip


class ConfigError(ValueError):
    """A configuration cannot be used; the message has the reason and the remedy."""


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """A training run. Each field is an option of `evdet train`.

    Only layers 4 and above read it; networks and loaders take plain arguments.
    """

    # --- data ---
    dataset_path: str = TOY_PROBLEM
    """Data set: a folder of recordings, or toy_problem (Moving MNIST, made on the fly)."""
    classes: tuple[str, ...] = ()
    """Class names, without background; car+truck=vehicle merges two (default: all classes)."""
    preprocess: str = "auto"
    """Event representation: histogram, event_cube, ...; auto is histogram for recordings and none
    for Moving MNIST, whose frames are RGB."""
    delta_t: int = 50_000
    """Duration of a time bin, in microseconds."""
    delta_t_range: tuple[int, ...] = ()
    """Shortest and longest time bin in training, drawn per recording (random sampling: per clip),
    such as 10000 100000; left out, every time bin lasts delta_t, as in validation."""
    height: int = 0
    """Frame height, in pixels; 0 uses the sensor height, the maximum (toy_problem: 128)."""
    width: int = 0
    """Frame width, in pixels; 0 uses the sensor width, the maximum (toy_problem: 128)."""
    sensor_size: str = ""
    """Sensor size WxH of recordings that do not state theirs, or state it wrong."""
    format: str = ""
    """Format of a recording; left out, its content tells."""
    time_unit: str = ""
    """Unit of times in text, NumPy and HDF5 recordings: us, ms, s or ns; left out, the file's."""
    columns: str = ""
    """Order of columns in text, NumPy and HDF5 recordings, such as txyp; - skips a column."""
    stream: str = ""
    """Stream, camera or topic, where a recording has several."""
    in_channels: int = 0
    """Channels of a frame; 0 uses those of preprocess (toy_problem: 3)."""
    num_tbins: int = 12
    """Time bins per clip, the length of backpropagation through time."""
    batch_size: int = 4
    """Recordings processed side by side, per process."""
    num_workers: int = 2
    """Processes that load data; 0 loads it in the training process."""

    # --- toy_problem ---
    max_frames_per_video: int = 60
    """Length of a video of toy_problem, in frames, rounded down to whole clips."""
    max_frames_per_epoch: int = 30_000
    """Frames per epoch of toy_problem and of random sampling, over all processes."""
    max_objects: int = 3
    """Largest number of digits in a Moving MNIST video."""
    max_digit_share: float = 0.5
    """Longer side of the largest digits of toy_problem, as a share of the frame's shorter side."""
    color: bool = True
    """Coloured digits; otherwise they are white."""
    grey_share: float = 0.0
    """Share of grey and white digits among the coloured ones of toy_problem."""

    # --- recordings ---
    sampling: str = "stream"
    """Sampling of recordings in training: stream (from start to end, with memory from clip to
    clip), random (clips that end at a label, with empty memory) or mixed (half of each batch)."""
    min_box_diag: float = 0.0
    """Smallest diagonal of boxes, in pixels of the sensor; smaller boxes are dropped."""
    min_box_side: float = 0.0
    """Smallest side of boxes, in pixels of the sensor; smaller boxes are dropped."""
    max_box_share: float = 1.0
    """Largest width of boxes, as a share of the frame's; wider boxes are dropped. 1 keeps all."""
    clip_boxes: bool = True
    """Clipping of boxes to the frame; boxes outside the frame are dropped."""
    frame_period: int = 0
    """Period of the frames of labels numbered by frame, in microseconds; 0 uses delta_t."""
    remove_hot_pixels: bool = False
    """Hot-pixel filter: drops the events of pixels that fire without a stimulus."""
    background_filter: int = 0
    """Background-activity filter: drops events without a neighbouring event in the last N
    microseconds; 0 disables it."""
    strict: bool = False
    """Stop at a truncated or corrupt recording; otherwise it is reported and skipped."""

    # --- augmentation of recordings, in training only ---
    hflip: float = 0.0
    """Probability of a horizontal flip, per recording (random sampling: per clip)."""
    zoom: float = 0.0
    """Probability of a zoom in or out; with mixed sampling, of the random clips."""
    crop: float = 0.0
    """Probability of a crop: all but a part of the frame is blanked."""
    stream_zoom_out: float = 0.0
    """Probability of a zoom out of whole recordings, with mixed sampling."""
    max_zoom_in: float = 1.5
    """Largest magnification of a zoom in."""
    max_zoom_out: float = 1.2
    """Largest reduction of a zoom out."""
    polarity_swap: float = 0.0
    """Probability of exchanged polarities."""
    time_reversal: float = 0.0
    """Probability of reversed time, of random clips."""
    event_drop: float = 0.0
    """Largest share of dropped events, drawn for each recording or clip."""
    event_noise: float = 0.0
    """Largest rate of added noise events, in events per pixel and second."""

    # --- model ---
    detector: str = "SSD"
    """Detector: SSD (of the options below), RVT-Tiny, -Small, -Base, S5-ViT-Tiny, -Small, -Base,
    RT-DETR-Nano, -R18, -R50 (single frames), or the same with memory: EvRT-DETR-Nano, ..."""
    feature_extractor: str = "Vanilla"
    """Feature extractor: Vanilla, VanillaGRU, VanillaS5 or VggLike."""
    feature_base: int = 16
    """Width of the backbone: its first convolution has twice as many channels."""
    feature_channels_out: int = 256
    """Channels of every feature map, and of the memory."""
    num_levels: int = 5
    """Number of feature maps, at strides 8, 16, 32, ... pixels."""
    anchor_list: str = "PSEE_ANCHORS"
    """Anchors of a cell: PSEE_ANCHORS (six shapes), COCO_ANCHORS (nine), DIGIT_ANCHORS
    (three) or MNIST_ANCHORS (two)."""
    head_channels: int = 256
    """Channels inside the two towers of the head."""
    head_layers: int = 0
    """Additional convolutions in each tower of the head."""
    channels_last: bool = False
    """Weights in channels-last memory format: the same results, often faster."""

    # --- loss and selection ---
    loss: str = "softmax_focal_loss"
    """Classification loss: softmax_focal_loss, sigmoid_focal_loss or softmax_ohem_loss."""
    loc_weight: float = 1.0
    """Weight of the localisation loss; the classification loss weighs 1."""
    max_boxes_per_input: int = 500
    """Candidate boxes per frame that enter non-maximum suppression."""
    score_thresh: float = 0.05
    """Score threshold of detections, in [0, 1]."""
    nms_thresh: float = 0.6
    """IoU threshold of non-maximum suppression, in [0, 1]."""

    # --- training ---
    lr: float = 1e-3
    """Learning rate: of the first epoch (exponential), or at the peak (one_cycle)."""
    lr_schedule: str = "exponential"
    """Learning rate schedule: exponential (times lr_scheduler_step_gamma each epoch), one_cycle
    (up, then a cosine to 0) or one_cycle_linear (lr/20 up to lr, then down to lr/10000, as RVT)."""
    lr_scheduler_step_gamma: float = 0.98
    """Factor on the learning rate after each epoch, for the exponential schedule."""
    lr_warmup: float = 0.1
    """Share of the training before the peak of a one_cycle schedule, in [0, 1)."""
    optimizer: str = "adam"
    """Optimizer: adam or adamw (decoupled weight decay)."""
    weight_decay: float = 1e-5
    """Weight decay of the optimizer."""
    gradient_clip: float = 10.0
    """Limit of gradient clipping: norm of all gradients, or value of each; 0 disables it."""
    gradient_clip_by: str = "norm"
    """Kind of gradient clipping: norm or value."""
    accumulate_batches: int = 1
    """Batches whose gradients are averaged for one step."""
    ema_decay: float = 0.0
    """Decay per step of the moving average of the weights, such as 0.999; validation and
    checkpoints use the average. 0 disables it."""
    compile: bool = False
    """Compilation with torch.compile: slow to start, then often faster."""
    max_epochs: int = 4
    """Number of epochs, at most."""
    early_stop: int = 0
    """Validations without a higher mAP after which the training ends; 0: never."""
    freeze_features: bool = False
    """Training of the head only, with a frozen feature extractor."""
    memory_only: bool = False
    """Training of the memory adapter only (EvRT-DETR), with all else frozen."""
    keep_statistics: bool = False
    """With memory_only: also keep the statistics of the decoder's normalisation, which as published
    follow the memory."""
    precision: str = "auto"
    """Precision in bits: auto (bf16 on an accelerator that supports it, else 32), 32, 16, bf16."""
    seed: int = 0
    """Seed of the weights and of the data."""

    # --- validation, checkpoints, pictures ---
    val_frames: int = 600
    """Frames of the validation after each epoch, rounded up to whole videos."""
    test_frames: int = 1000
    """Frames of the final evaluation, rounded up to whole videos."""
    demo_every: int = 2
    """Epochs between demo videos; 0 disables them."""
    checkpoint_every_minutes: float = 5.0
    """Minutes between checkpoints within an epoch, in addition to one after each epoch."""
    logger: tuple[str, ...] = ("tensorboard",)
    """Records of the curves, in the run's folder: tensorboard, csv, wandb, mlflow."""
    root_dir: str = "runs/moving_mnist"
    """Folder of the run: checkpoints, logs, report."""

    # --- hardware ---
    threads: int = 0
    """Threads of the CPU, per process; 0 chooses by the size of the network and the cores."""
    accelerator: str = "auto"
    """Accelerator of pytorch_lightning: cpu, gpu, ... or auto."""
    devices: int = 1
    """Devices per node (on a CPU, processes); 0 uses all."""
    num_nodes: int = 1
    """Number of machines."""
    strategy: str = "auto"
    """Strategy of pytorch_lightning for several processes: auto, ddp, ..."""

    def __post_init__(self) -> None:
        for name in (
            "delta_t", "num_tbins", "batch_size", "max_zoom_in", "max_zoom_out",
            "max_frames_per_video", "max_frames_per_epoch", "max_objects", "feature_base",
            "feature_channels_out", "num_levels", "head_channels", "max_boxes_per_input",
            "max_epochs", "val_frames", "test_frames", "num_nodes", "accumulate_batches",
        ):  # fmt: skip
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in (
            "num_workers", "head_layers", "weight_decay", "gradient_clip", "demo_every",
            "checkpoint_every_minutes", "devices", "loc_weight", "seed", "height", "width",
            "in_channels", "min_box_diag", "min_box_side", "frame_period", "background_filter",
            "event_noise", "early_stop",
        ):  # fmt: skip
            self._check(name, getattr(self, name) >= 0, "0 or more")
        for name, most in _MOST.items():
            self._check(name, getattr(self, name) <= most, f"at most {most}")
        for name in (
            "score_thresh", "nms_thresh", "max_box_share", "hflip", "zoom", "crop",
            "stream_zoom_out", "polarity_swap", "time_reversal", "event_drop", "grey_share",
        ):  # fmt: skip
            self._check(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        is_number = 0 <= self.threads <= MAX_THREADS
        self._check("threads", is_number, f"from 0 (automatic) to {MAX_THREADS} (--threads)")
        self._check("lr", self.lr > 0 and math.isfinite(self.lr), "positive")
        self._check("lr_scheduler_step_gamma", 0 < self.lr_scheduler_step_gamma <= 1, "in (0, 1]")
        for name in ("lr_warmup", "ema_decay"):
            self._check(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        self._check("classes", not repeated, f"all different (twice: {', '.join(repeated)})")
        for name, choices in (
            ("lr_schedule", ("exponential", "one_cycle", "one_cycle_linear")),
            ("optimizer", ("adam", "adamw")),
            ("gradient_clip_by", ("norm", "value")),
            ("precision", ("auto", "32", "16", "bf16")),
            ("sampling", ("stream", "random", "mixed")),
        ):
            self._check(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        known = set(self.logger) <= set(LOGGERS) and len(set(self.logger)) == len(self.logger)
        self._check("logger", known, f"different ones of {', '.join(LOGGERS)}")
        ends = self.delta_t_range
        is_range = not ends or (len(ends) == 2 and 1 <= ends[0] <= ends[1])
        self._check("delta_t_range", is_range, "two durations in microseconds: shortest, longest")
        is_size = re.fullmatch(r"([1-9]\d*x[1-9]\d*)?", self.sensor_size) is not None
        self._check("sensor_size", is_size, "WIDTHxHEIGHT, such as 346x260")
        if self.dataset_path == TOY_PROBLEM:
            self._check_toy_problem()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes: that of `car+truck=vehicle` is vehicle."""
        return tuple(text.rpartition("=")[2].strip() for text in self.classes)

    @property
    def thresholds(self) -> SelectionThresholds:
        """Which candidates become detections in validation and evaluation."""
        return SelectionThresholds(
            score_thresh=self.score_thresh,
            nms_thresh=self.nms_thresh,
            max_boxes=self.max_boxes_per_input,
        )

    @property
    def frame_spec(self) -> FrameSpec:
        """How the frames are made; for a complete config."""
        return FrameSpec(
            preprocess=self.preprocess,
            delta_t=self.delta_t,
            height=self.height,
            width=self.width,
            in_channels=self.in_channels,
            class_names=self.class_names,
            remove_hot_pixels=self.remove_hot_pixels,
            background_filter=self.background_filter,
            thresholds=self.thresholds,
        )

    def _check_toy_problem(self) -> None:
        self._check("preprocess", self.preprocess in ("auto", "none"), "none for toy_problem")
        self._check("max_digit_share", 1 / 6 <= self.max_digit_share <= 0.95, "in [1/6, 0.95]")
        if self.max_frames_per_video < self.num_tbins:
            raise ConfigError(
                f"max_frames_per_video ({self.max_frames_per_video}) is smaller than num_tbins "
                f"({self.num_tbins}): a video must hold at least one clip. "
                "Lengthen the videos or shorten the clips."
            )

    def _check(self, name: str, good: bool, wanted: str) -> None:
        if not good:
            raise ConfigError(f"{name} must be {wanted}, got {str(getattr(self, name))[:60]}")
