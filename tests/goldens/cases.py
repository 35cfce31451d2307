"""The cases: each leaves its results in a folder of its name."""

import json
import shutil
from pathlib import Path

import numpy as np
from commands import CONFIGS, PROTOCOLS, SUBCOMMANDS
from work import Work

BOXES = [
    ("t", "<i8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"), ("class_id", "<u4"),
    ("track_id", "<u4"), ("class_confidence", "<f4"),
]  # fmt: skip


def simulate(work: Work) -> None:
    """The trees that simulate writes."""
    work.copy(f"{work.data}.txt", "simulate/digits.txt")
    work.write_tree("simulate/digits.sha", work.data)
    for kind, form in (("shapes", "raw"), ("nmnist", "hdf5")):
        folder = f"shared/{kind}"
        work.run(
            "simulate", to=f"simulate/{kind}.txt", folder=folder, kind=kind, train="1", test="1",
            minutes="0.04", side="72", format=form,
        )  # fmt: skip
        work.write_tree(f"simulate/{kind}.sha", folder)


def split(work: Work) -> None:
    """The trees that split makes, and what check says of a data set."""
    for how, by in (("copy", "duration"), ("move", "count")):
        folder = f"shared/split_{how}"
        for part in ("train", "val", "test"):
            for path in (work.root / work.data / part).iterdir():
                shutil.copy2(path, work.file(f"{folder}/{path.name}"))
        work.run("split", to=f"split/{how}.txt", folder=folder, how=how, by=by)
        work.write_tree(f"split/{how}.sha", folder)
    work.run("check", to="split/check.txt", folder=work.data)


def detect(work: Work) -> None:
    """Every format of detections, without tracks and with them."""
    for name, options in (("plain", ()), ("tracked", ("detect track",))):
        files = " ".join(
            f"detect/{name}.{suffix}" for suffix in ("npy", "csv", "json", "txt", "mp4")
        )
        work.file(f"detect/{name}")
        values = {"source": "sample", "model": "events-digits", "files": files}
        work.run("detect", *options, to=f"detect/{name}.out", **values)
    for tracker in ("sort", "ocsort"):
        work.run(
            "detect", "detect tracker", "detect part", to=f"detect/{tracker}.out",
            source=work.recording, model="events-digits", files=f"detect/{tracker}.npy",
            tracker=tracker,
        )  # fmt: skip


def evaluate(work: Work) -> None:
    """Scores of a checkpoint, of its tracks, and all curves."""
    work.file("evaluate/out")
    work.run(
        "evaluate on", "evaluate tracks", to="evaluate/out.txt", model="events-digits",
        data=work.data, json="evaluate/out.json", folder="evaluate",
    )  # fmt: skip


def score(work: Work) -> None:
    """Files of detections, by every protocol."""
    rng = np.random.default_rng(5)
    for name in ("first", "second"):
        truth = np.zeros(300, BOXES)
        truth["t"] = np.repeat(np.arange(1, 61) * 50_000, 5)
        truth["track_id"] = np.tile(np.arange(1, 6), 60)
        truth["class_id"] = truth["track_id"] % 3
        moved = np.repeat(np.arange(60), 5)
        truth["x"], truth["y"] = 30 * truth["track_id"] + 2 * moved, 20 * truth["track_id"] + moved
        truth["w"], truth["h"] = 12 + 25 * (truth["track_id"] % 4), 70 - 9 * truth["track_id"]
        # Twice what is there, and less than all of it; the second time under other track ids.
        found = np.zeros(600, [*BOXES, ("class_score", "<f4")])
        for field in truth.dtype.names:
            found[field] = np.tile(truth[field], 2)
        found["track_id"][300:] += 10
        found = found[rng.permutation(600)[:520]]
        found = found[np.argsort(found["t"], kind="stable")]
        for side in ("x", "y", "w", "h"):
            found[side] += rng.normal(0, 4, len(found)).astype(np.float32)
        found["class_id"] = np.where(rng.random(len(found)) < 0.1, 0, found["class_id"])
        found["class_confidence"], found["class_score"] = rng.random((2, len(found)))
        np.save(work.file(f"shared/boxes/{name}_bbox.npy"), truth)
        np.save(work.file(f"shared/found/{name}.npy"), found)
    names = {"0": "pedestrian", "1": "two wheeler", "2": "car"}
    work.write("shared/boxes/label_map_dictionary.json", json.dumps(names))
    for protocol in PROTOCOLS:
        kinds = {"plain": ("50000", ()), "exact": ("0", ("score classes",))}
        if protocol in ("coco", "rvt-1mpx"):
            kinds["sized"] = ("50000", ("score size",))
        for kind, (delta_t, options) in kinds.items():
            if kind == "exact" and protocol != "coco":
                continue
            name = f"score/{protocol}_{kind}"
            work.file(name)
            work.run(
                "score", *options, to=f"{name}.txt", found="shared/found", boxes="shared/boxes",
                protocol=protocol, json=f"{name}.json", folder=name, delta_t=delta_t,
            )  # fmt: skip


def export(work: Work) -> None:
    """Exported models, what export says, and what they find."""
    work.copy(work.exported, "export/plain.onnx")
    work.copy("shared/export.txt", "export/plain.txt")
    raw = "export/raw.onnx"
    work.run("export", "export raw", to="export/raw.txt", model="events-digits", file=raw)
    work.run(
        "detect", "detect part", to="export/detect.out", source="sample", model=work.exported,
        files="export/found.npy",
    )  # fmt: skip


def train(work: Work) -> None:
    """Small trainings: weights, optimiser, position; whole and resumed."""
    assert work.small_runs == "train"


def loaders(work: Work) -> None:
    """Batches of every representation and way of sampling."""
    work.job("loaders", "loaders", work.data)


def report(work: Work) -> None:
    """Runs by the command line, their evaluations and pages."""
    runs = {"events": work.events_run, "toy": work.toy_run}
    for name, run in runs.items():
        work.copy(f"shared/train_{name}.txt", f"report/train_{name}.txt")
        work.copy(f"shared/evaluate_{name}.txt", f"report/evaluate_{name}.txt")
        work.copy(f"{run}/evaluation", f"report/{name}")
        work.copy(f"{run}/config.yaml", f"report/{name}/config.yaml")
        work.copy(f"{run}/checkpoints/best.ckpt", f"report/{name}/best.ckpt")
        work.run("report", runs=run, file=f"report/{name}.html")
    work.run("report", runs=" ".join(runs.values()), file="report/comparison.html")


def bench(work: Work) -> None:
    """Which numbers bench gives; their values are times."""
    assert work.events_run
    measured = json.loads((work.root / "shared/bench.json").read_text())
    work.write("bench/keys.txt", "\n".join(sorted(set(_keys(measured)))) + "\n")


def texts(work: Work) -> None:
    """Help of every command, resolved configurations, the table of models."""
    work.run("help", to="texts/overview.txt", command="")
    for command in SUBCOMMANDS:
        work.run("help", to=f"texts/help/{command}.txt", command=command)
    work.run("print config", to="texts/config/default.yaml")
    for config in CONFIGS:
        values = {"to": f"texts/config/{config}.yaml", "config": f"{config}.yaml"}
        work.run("print config", "print config of", **values)
    work.run("models", to="texts/models.txt")
    work.run("models", "models other", to="texts/models.json")


def recordings(work: Work) -> None:
    """A recording as text, in every format, cleaned, and as pictures."""
    work.file("recordings/info")
    source = work.recording
    work.run("info", to="recordings/info.txt", source=source, png="recordings/info.png")
    for suffix in ("raw", "h5", "dat"):
        file = f"recordings/converted.{suffix}"
        work.run("convert", to=f"recordings/convert_{suffix}.txt", source=source, file=file)
        work.job("slices", f"recordings/{suffix}", file)
    cleaned = {"to": "recordings/cleaned.txt", "file": "recordings/cleaned.raw"}
    work.run("convert", "convert clean", source=source, **cleaned)
    work.run("view", source=source, file="recordings/view.png")
    for suffix in ("png", "mp4"):
        work.run("view", "view part", source=source, file=f"recordings/part.{suffix}")
    # It holds the date of the recording.
    (work.root / "recordings/converted.raw.evdet-index").unlink()


def old(work: Work) -> None:
    """Files of the recorded version, loaded by the code of today."""
    here = work.root / "artefacts"
    shutil.copytree(work.artefacts, here)
    index = here / "recording.raw.evdet-index"
    before = index.stat().st_mtime_ns
    work.job("slices", "old", "artefacts/recording.raw")
    work.write("old/index.txt", f"taken as it was: {index.stat().st_mtime_ns == before}\n")
    for name in ("run", "model.onnx", "small.ckpt", "toy/checkpoints/last.ckpt"):
        source = "sample" if "toy" not in name else "artefacts/pictures.mp4"
        file = f"old/{Path(name).name}_of_{name.partition('/')[0]}"
        values = {"source": source, "model": f"artefacts/{name}", "files": f"{file}.npy"}
        work.run("detect", "detect low", to=f"{file}.out", **values)
    for name in ("run", "model.onnx"):
        file = f"old/evaluate_{name}"
        work.run(
            "evaluate on", to=f"{file}.txt", model=f"artefacts/{name}", data="artefacts/data",
            json=f"{file}.json", folder=file,
        )  # fmt: skip
    work.run("report", runs="artefacts/run", file="old/report.html")
    work.run("report", runs="artefacts/run artefacts/toy", file="old/comparison.html")
    work.job("resume", "old", "artefacts/data", "artefacts/small.ckpt")


def keep_artefacts(work: Work) -> None:
    """Put files of this version where later ones will find them."""
    shutil.rmtree(work.artefacts, ignore_errors=True)
    work.run("convert", source=work.recording, file="shared/recording.raw")
    work.job("slices", "shared/slices", "shared/recording.raw")
    work.run("view", "view part", source=work.recording, file="shared/pictures.mp4")
    kept = {
        work.events_run: "run", work.toy_run: "toy", work.exported: "model.onnx",
        work.data: "data", f"{work.small_runs}/events_step6.ckpt": "small.ckpt",
        "shared/recording.raw": "recording.raw", "shared/pictures.mp4": "pictures.mp4",
        "shared/recording.raw.evdet-index": "recording.raw.evdet-index",
    }  # fmt: skip
    for source, name in kept.items():
        work.copy(source, str(work.artefacts.resolve() / name))


CASES = {
    case.__name__: case
    for case in (
        simulate, split, detect, evaluate, score, export, train, loaders, report, bench, texts,
        recordings, old,
    )
}  # fmt: skip


def _keys(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [key for name in value for key in _keys(value[name], f"{path}.{name}")]
    if isinstance(value, list):
        return [key for item in value for key in _keys(item, f"{path}[]")]
    return [f"{path}: {type(value).__name__}"]
