"""How each command is spelled: a renamed option is a change of one line here."""

COMMANDS = {
    "simulate": "simulate {folder} --kind {kind} --train {train} --val 1 --test {test} "
    "--minutes {minutes} --sensor-size {side}x{side} --seed 7 --format {format}",
    "split": "split {folder} --how {how} --by {by} --seed 3",
    "check": "check {folder}",
    "train": "train --dataset-path {data} --root-dir {folder} --finetune events-digits "
    "--config events_digits_quick.yaml --max-epochs 2 --num-tbins 6 --batch-size 2 "
    "--lr 0.0001 --accelerator cpu",
    "train toy": "train --config moving_mnist_quick.yaml --root-dir {folder} --max-epochs 1 "
    "--max-frames-per-epoch 48 --val-frames 24 --height 64 --width 64 --accelerator cpu "
    "--num-levels 3 --demo-every 0",
    "print config": "train --print-config",
    "print config of": "--config {config}",
    "evaluate": "evaluate {model} --device cpu",
    "evaluate few": "--frames 24 --score-thresh 0.0005",
    "evaluate tracks": "--track",
    "evaluate on": "evaluate {model} --dataset-path {data} --json {json} --output-dir {folder} "
    "--device cpu",
    "score": "score --detections {found} --boxes {boxes} --protocol {protocol} "
    "--json {json} --output-dir {folder} --delta-t {delta_t} --track",
    "score size": "--sensor-size 640x360",
    "score classes": "--classes pedestrian+car=moving 'two wheeler'",
    "detect": "detect {source} --checkpoint {model} --device cpu --output {files}",
    "detect track": "--track",
    "detect tracker": "--tracker {tracker}",
    "detect part": "--start 1 --duration 3 --score-thresh 0.1 --nms-thresh 0.4",
    "detect low": "--score-thresh 0.0005 --duration 1",
    "export": "export {model} {file} --time-bins 4",
    "export raw": "--raw-heads",
    "report": "report {runs} --output {file}",
    "convert": "convert {source} {file}",
    "convert clean": "--remove-hot-pixels --background-filter 5000 --start 0.2 --duration 0.9 "
    "--shift-time",
    "info": "info {source} --png {png}",
    "view": "view {source} --output {file}",
    "view part": "--start 0.5 --duration 0.5 --delta-t 20000 --pictures 4 --scale 3",
    "models": "models",
    "models other": "--sensor-size 640x360 --in-channels 10 --classes 3 --json",
    "bench": "bench {model} --time-bins 3 --warm-up 1 --threads 1 --device cpu --variants fold "
    "--batches 1 2 --json {json}",
    "help": "{command} --help",
}
"""How each command of this script is spelled; some are options of another."""
SUBCOMMANDS = (
    "info", "view", "convert", "simulate", "split", "check", "demo", "train", "evaluate", "score",
    "detect", "export", "bench", "models", "import", "report",
)  # fmt: skip
CONFIGS = (
    "events_digits_quick", "gen1", "moving_mnist", "moving_mnist_quick", "one_mpx",
    "rvt_base_1mpx", "rvt_base_gen1", "rvt_events_digits_quick", "rvt_small_1mpx",
    "rvt_small_gen1", "rvt_tiny_1mpx", "rvt_tiny_gen1",
)  # fmt: skip
PROTOCOLS = (
    "coco",
    "perot2020-gen1",
    "perot2020-1mpx",
    "rvt-gen1",
    "rvt-1mpx",
    "s5-gen1",
    "s5-1mpx",
)
