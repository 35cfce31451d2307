import gzip
import hashlib
from importlib import resources

import numpy as np
import pytest

from evdet.synthetic.mnist.digits import SPLITS, load_digits

# Of the database's own files, unpacked: they are the same in every copy of MNIST.
SHA256 = {
    "train-images-idx3": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@pytest.mark.parametrize("name", SHA256)
def test_the_files_are_the_database_bit_for_bit(name):
    packed = resources.files("evdet.synthetic.mnist").joinpath(f"{name}-ubyte.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == SHA256[name]


def test_the_notice_names_licence_and_authors():
    notice = resources.files("evdet.synthetic.mnist").joinpath("NOTICE").read_text()
    for words in ("CC BY-SA 3.0", "LeCun", "Cortes", "Burges", "NIST", "Apache-2.0"):
        assert words in notice


def test_the_splits_are_the_databases_in_its_order():
    train, val, test = (load_digits(split) for split in SPLITS)

    assert [len(part.labels) for part in (train, val, test)] == [55_000, 5_000, 10_000]
    assert [part.images.shape[1:] for part in (train, val, test)] == [(28, 28)] * 3
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    whole = np.concatenate([train.images, val.images])
    assert np.round(whole.mean() / 255, 4) == 0.1307  # the published mean of the training set


def test_the_shared_digits_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        load_digits("test").images[0, 0, 0] = 1


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="one of train, val, test, got 'dev'"):
        load_digits("dev")
