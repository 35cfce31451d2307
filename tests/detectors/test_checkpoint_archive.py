"""A file that states more than it holds is refused before anything of it is loaded."""

import pickle
import struct
import zipfile

import pytest
import torch

from evdet.detectors import CheckpointError, checkpoint_archive, load_checkpoint
from evdet.detectors.checkpoint_archive import CodeError, DamagedError, check_pickle, read_pickle
from evdet.detectors.tensor_file import open_state_dict


def archive(path, data, *, values=b"", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/data.pkl", data)
        file.writestr("a/data/0", values)
        file.writestr("a/version", "3\n")
    return path


def refused(path):
    """The messages with which both readers refuse a file."""
    messages = []
    for read in (load_checkpoint, open_state_dict):
        with pytest.raises(CheckpointError) as error:
            read(path)
        messages.append(str(error.value))
        assert "\n" not in messages[-1]
        assert len(messages[-1]) < 600
    return messages


def test_an_archive_without_a_pickle_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as file:
        file.writestr("a/version", "3\n")
    assert all("no data.pkl" in message for message in refused(tmp_path / "a.ckpt"))


def test_a_compressed_file_is_refused(tmp_path):
    data = pickle.dumps({"state_dict": {}, "hyper_parameters": {}}, protocol=2)
    path = archive(tmp_path / "a.ckpt", data, values=bytes(10**6), compression=zipfile.ZIP_DEFLATED)
    assert all("compressed" in message for message in refused(path))


def test_entries_that_overlap_are_refused(tmp_path):
    data = pickle.dumps({"state_dict": {}, "hyper_parameters": {}}, protocol=2)
    path = archive(tmp_path / "a.ckpt", data, values=bytes(1000))
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02a"[:4])
    content[place + 20 : place + 28] = struct.pack("<II", 1 << 30, 1 << 30)
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02}r\xff\xff\xff\x7f.",
        b"\x80\x02]\x8b\xff\xff\xff\x7f",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
        pickle.dumps({"state_dict": 1 << 4000}, protocol=2),
        b"",
        b"\x80",
    ],
    ids=["memo", "long", "text", "deep", "number", "empty", "cut"],
)
def test_a_pickle_that_asks_for_more_than_it_has_is_refused(tmp_path, data):
    refused(archive(tmp_path / "a.ckpt", data))


def test_values_that_double_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_archive, "_MAX_VALUES", 10_000)
    refuse_doubled(tmp_path, "more than 10,000 values")


@pytest.mark.slow
def test_values_that_double_are_refused_at_the_real_limit(tmp_path):
    refuse_doubled(tmp_path, "more than 1,000,000 values")


def refuse_doubled(tmp_path, message):
    value = ["x"]
    for _ in range(45):
        value = [value, value]
    data = pickle.dumps({"state_dict": {}, "hyper_parameters": {"classes": value}}, protocol=2)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(archive(tmp_path / "a.ckpt", data))


@pytest.mark.parametrize("name", ["builtins\nbytearray", "torch\nFloatStorage", "os\nsystem"])
def test_calls_are_refused(tmp_path, name):
    call = b"\x80\x02c" + name.encode() + b"\n\x8a\x05\x00\x00\x00\x00\x02\x85R."
    with pytest.raises(CheckpointError):
        load_checkpoint(archive(tmp_path / "a.ckpt", call))
    if "Storage" not in name:
        with pytest.raises(CodeError):
            check_pickle(call)


@pytest.mark.parametrize(
    "weight",
    [
        torch.zeros(1).expand(10**12),
        torch.zeros(0, 10**12),
        torch.zeros(2, dtype=torch.complex64),
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
    ],
    ids=["expanded", "without values", "complex", "sparse", "meta"],
)
def test_a_tensor_that_no_detector_has_is_refused(tmp_path, weight):
    content = {"state_dict": {"detector.a": weight}, "hyper_parameters": {}}
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "a.ckpt")


def test_a_sound_file_of_torch_is_listed(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(3)}, "hyper_parameters": {}}, tmp_path / "a.ckpt")
    data, sizes = read_pickle(tmp_path / "a.ckpt")
    check_pickle(data)
    assert sizes["data/0"] == 12
    assert load_checkpoint(tmp_path / "a.ckpt")["state_dict"]["a"].tolist() == [1, 1, 1]


def test_a_description_without_bound_is_refused(tmp_path):
    with pytest.raises(DamagedError, match="description"):
        read_pickle(archive(tmp_path / "a.ckpt", bytes(17 << 20)))
