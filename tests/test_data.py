"""MNIST's files: right ones are read, wrong ones are named and refused."""

import gzip
import hashlib
import os
import subprocess
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnnbook import data
from cnnbook.data import (
    MNIST_FILES,
    PHOTOGRAPH,
    SAMPLE_FILES,
    Digits,
    download_mnist,
    float_arrays,
    from_idx,
    load_mnist,
    load_photograph,
    read_idx,
    to_idx,
)

BUNDLED = Path(data.__file__).parent / "mnist_sample"
PHOTOGRAPHS = Path(data.__file__).parent / "photograph"
NAMES = list(MNIST_FILES)
KEYS = ("x_train", "y_train", "x_test", "y_test")


def idx(array):
    """Return an array of bytes in the IDX format, put together by hand."""
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + bytes(array.ravel().tolist())


def md5(content):
    """Return the MD5 of bytes, in hex."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def put(folder, name, content):
    """Write a file, with its folders, zipped if the name ends so; return it."""
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    zipped = name.endswith(".gz")
    path.write_bytes(gzip.compress(content, 1) if zipped else content)
    return path


@pytest.fixture
def arrays(monkeypatch):
    """Return 12 and 7 made-up digits that count as published in this test."""
    rng = np.random.default_rng(0)
    made = []
    for count in (12, 7):
        made.append(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        made.append(rng.integers(0, 10, count, dtype=np.uint8))
    for name, array in zip(NAMES, made, strict=True):
        monkeypatch.setitem(MNIST_FILES, name, md5(idx(array)))
    return made


@pytest.fixture
def folder(arrays, tmp_path):
    """Return a folder with the four files of the made-up digits, gzipped."""
    for name, array in zip(NAMES, arrays, strict=True):
        put(tmp_path / "made", f"{name}.gz", idx(array))
    return tmp_path / "made"


def check(splits, arrays, source):
    """Assert that two splits hold the four arrays of bytes."""
    assert len(splits) == 2
    for k, split in enumerate(splits):
        images, labels = split
        assert images.dtype == np.float32
        assert labels.dtype == np.int64
        assert images.shape == (len(arrays[2 * k]), 1, 28, 28)
        expected = arrays[2 * k].astype(np.float64) / 255
        np.testing.assert_allclose(images[:, 0], expected, rtol=1e-6)
        np.testing.assert_array_equal(labels, arrays[2 * k + 1])
        assert split.source == str(source)


# The IDX format


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0)),
    st.booleans(),
)
def test_idx_round_trip(array, flip):
    """What is written is read again, in any memory layout."""
    array = array.T if flip else array
    content = to_idx(array)
    assert content == idx(array)
    found = from_idx(content)
    assert found.dtype == np.uint8
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@given(st.binary(max_size=60), st.booleans())
def test_idx_any_bytes(content, look_right):
    """Any bytes give an array or a ValueError that names them."""
    if look_right and len(content) > 4:
        content = b"\0\0\x08" + bytes([1 + content[3] % 3]) + content[4:]
    try:
        found = from_idx(content, "these bytes")
    except ValueError as error:
        assert str(error).startswith("these bytes")
    else:
        assert idx(found) == content


@pytest.mark.parametrize("dimensions", [65, 255])
def test_idx_too_many_axes(dimensions):
    """More axes than an array can have is an error that names the file."""
    content = bytes([0, 0, 8, dimensions]) + b"\0" * (4 * dimensions)
    with pytest.raises(ValueError, match="odd.idx"):
        from_idx(content, "odd.idx")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "IDX"),
        (b"\0\0\x08", "IDX"),
        (b"\0\0\x0d\x01\0\0\0\x00", "IDX"),  # floats
        (b"\x01\0\x08\x01\0\0\0\x00", "IDX"),
        (b"\0\0\x08\x02\0\0\0\x01", "truncated"),
        (b"\0\0\x08\x01\0\0\0\x03ab", "truncated"),
        (b"\0\0\x08\x01\0\0\0\x03abcd", "too long"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "truncated"),  # no memory is taken
    ],
)
def test_idx_bad(tmp_path, content, says):
    """Bad bytes are refused; as a file, by its name, gzipped or not."""
    with pytest.raises(ValueError, match=says):
        from_idx(content)
    for name in ("some.idx", "some.idx.gz"):
        with pytest.raises(ValueError, match=f"{name}.*{says}"):
            read_idx(put(tmp_path, name, content))


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool, np.int8])
def test_idx_dtype(dtype):
    """Only bytes are written."""
    with pytest.raises(TypeError, match="uint8"):
        to_idx(np.zeros(3, dtype))


def test_read_idx(tmp_path):
    """A path or its text, zipped whatever the name says; else no file."""
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    put(tmp_path, "plain", idx(array))
    (tmp_path / "unnamed").write_bytes(gzip.compress(idx(array)))
    for name in ("plain", "unnamed"):
        np.testing.assert_array_equal(read_idx(tmp_path / name), array)
        np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")


# Folders


@pytest.mark.parametrize("where", ["", "raw", "MNIST/raw"])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_folders(arrays, tmp_path, where, end):
    """Plain or gzipped files, also where torchvision puts them."""
    for name, array in zip(NAMES, arrays, strict=True):
        put(tmp_path / where, name + end, idx(array))
    check(load_mnist(tmp_path), arrays, tmp_path)
    check(load_mnist(str(tmp_path)), arrays, tmp_path)


def test_mixed_folder(arrays, tmp_path):
    """Some files gzipped and some not."""
    for k, (name, array) in enumerate(zip(NAMES, arrays, strict=True)):
        put(tmp_path, name + ("", ".gz")[k % 2], idx(array))
    check(load_mnist(tmp_path), arrays, tmp_path)


def test_missing_folder(tmp_path):
    """A folder that isn't there is named, also if a file is there instead."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_mnist(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((FileNotFoundError, ValueError), match="file"):
        load_mnist(tmp_path / "file")


@pytest.mark.parametrize("name", NAMES)
def test_missing_file(folder, name):
    """A missing file is named."""
    (folder / f"{name}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=f"made.*{name}"):
        load_mnist(folder)


def flip_bit(content):
    """Turn over one bit of the last byte."""
    return content[:-1] + bytes([content[-1] ^ 1])


DAMAGES = {
    "empty": (lambda c: b"", "IDX"),
    "magic number": (lambda c: b"\0\0\x0d" + c[3:], "IDX.*00 00 0d"),
    "no header": (lambda c: c[:6], "truncated"),
    "truncated": (lambda c: c[:-1], "truncated"),
    "too long": (lambda c: c + b"\0", "too long"),
    "checksum": (flip_bit, "MD5"),
    "web page": (lambda c: b"<html>404</html>", "IDX"),
}


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_damaged_file(folder, name, damage, end):
    """Each damage to each file is a ValueError that names file and damage."""
    change, says = DAMAGES[damage]
    old = folder / f"{name}.gz"
    content = gzip.decompress(old.read_bytes())
    old.unlink()
    put(folder, name + end, change(content))
    with pytest.raises(ValueError, match=f"{name}{end}.*({says})"):
        load_mnist(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda z: z[:-9],
        lambda z: z[:12],
        lambda z: z[:2],
        lambda z: z + b"more",
        lambda z: z[: len(z) // 2] + b"\xff\x00" + z[len(z) // 2 + 2 :],
        lambda z: z[:-6] + bytes([z[-6] ^ 255]) + z[-5:],  # its own checksum
        lambda z: z[:2] + b"\x09" + z[3:],  # an unknown method
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_damaged_gzip(folder, name, change):
    """A gzip file that doesn't unpack is a ValueError that names it."""
    path = folder / f"{name}.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{name}.gz.*gzip"):
        load_mnist(folder)


@pytest.mark.parametrize("split", [0, 2])
def test_wrong_contents(folder, arrays, split):
    """Right IDX files with the wrong contents: what is wrong is said."""
    images, labels = NAMES[split : split + 2]

    def replaced(name, array, says):
        path = folder / f"{name}.gz"
        kept = path.read_bytes()
        put(folder, f"{name}.gz", idx(array))
        with pytest.raises(ValueError, match=says):
            load_mnist(folder)
        path.write_bytes(kept)

    pixels, digits = arrays[split : split + 2]
    replaced(labels, digits[:-1], f"{labels}.*{len(digits) - 1} labels")
    replaced(images, pixels[:-1], f"{labels}.*{len(digits)} labels")
    wrong = digits.copy()
    wrong[4] = 10
    replaced(labels, wrong, f"{labels}.*label 10 at position 4")
    replaced(labels, digits[:, None], f"{labels}.*labels are")
    replaced(images, pixels[:, :27], f"{images}.*images are")
    replaced(images, digits, f"{images}.*images are")
    replaced(labels, digits[::-1], f"{labels}.*MD5")
    replaced(images, pixels[::-1], f"{images}.*MD5")
    check(load_mnist(folder), arrays, folder)  # whole again


# mnist.npz


def write_npz(path, arrays):
    """Write Keras's file."""
    np.savez(path, **dict(zip(KEYS, arrays, strict=True)))
    return path


def test_npz(arrays, tmp_path):
    """Keras's file gives the same digits."""
    path = write_npz(tmp_path / "mnist.npz", arrays)
    check(load_mnist(path), arrays, path)
    check(load_mnist(str(path)), arrays, path)


def test_npz_missing(tmp_path):
    """A file that isn't there is named."""
    with pytest.raises(FileNotFoundError, match="none.npz"):
        load_mnist(tmp_path / "none.npz")


@pytest.mark.parametrize("key", KEYS)
def test_npz_lacks_a_key(arrays, tmp_path, key):
    """A missing array is named, with the file."""
    kept = {k: a for k, a in zip(KEYS, arrays, strict=True) if k != key}
    np.savez(tmp_path / "mnist.npz", **kept)
    with pytest.raises(ValueError, match=rf"mnist\.npz.*{key}"):
        load_mnist(tmp_path / "mnist.npz")


@pytest.mark.parametrize(
    "change",
    [
        lambda c: b"",
        lambda c: b"PK\x03\x04 and no more",
        lambda c: c[:-200],
        lambda c: c[:3000] + bytes([c[3000] ^ 255]) + c[3001:],
        lambda c: b"<html>404</html>",
        lambda c: b"\x93NUMPY\x01\x00",
        lambda c: idx(np.zeros(3, np.uint8)),
    ],
)
def test_npz_corrupt(arrays, tmp_path, change):
    """A damaged file is a ValueError that names it."""
    path = write_npz(tmp_path / "mnist.npz", arrays)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"mnist\.npz"):
        load_mnist(path)


def test_npz_that_is_npy(tmp_path):
    """A single array under the name of an archive is refused."""
    with open(tmp_path / "mnist.npz", "wb") as file:
        np.save(file, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r"mnist\.npz"):
        load_mnist(tmp_path / "mnist.npz")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("key", KEYS)
def test_npz_pickle_is_not_run(arrays, tmp_path, key):
    """An array of pickled objects is refused, and nothing in it runs."""
    sprung = tmp_path / "sprung"
    trapped = dict(zip(KEYS, arrays, strict=True))
    trapped[key] = np.array([Trap(sprung)], dtype=object)
    np.savez(tmp_path / "mnist.npz", **trapped)
    with pytest.raises(ValueError, match=r"mnist\.npz"):
        load_mnist(tmp_path / "mnist.npz")
    assert not sprung.exists()


@pytest.mark.parametrize("key", KEYS)
def test_npz_wrong_dtype(arrays, tmp_path, key):
    """An array that isn't bytes is named, with the dtype that it has."""
    wide = dict(zip(KEYS, arrays, strict=True))
    wide[key] = wide[key].astype(np.int32)
    np.savez(tmp_path / "mnist.npz", **wide)
    with pytest.raises(ValueError, match=rf"mnist\.npz.*{key}.*int32"):
        load_mnist(tmp_path / "mnist.npz")


@pytest.mark.parametrize("k", range(4))
def test_npz_wrong_contents(arrays, tmp_path, k):
    """The checksums hold for these arrays, too; the wrong one is named."""
    changed = list(arrays)
    changed[k] = changed[k][::-1]
    path = write_npz(tmp_path / "mnist.npz", changed)
    with pytest.raises(ValueError, match=rf"mnist\.npz.*{KEYS[k]}.*MD5"):
        load_mnist(path)
    changed[k] = changed[k][:-1]
    write_npz(path, changed)
    with pytest.raises(ValueError, match=rf"mnist\.npz.*{KEYS[k // 2 * 2]}"):
        load_mnist(path)


# Where load_mnist looks


@pytest.fixture
def no_download(monkeypatch):
    """Make any download fail."""

    def refuse(folder):
        raise AssertionError("nobody asked for a download")

    monkeypatch.setattr(data, "download_mnist", refuse)


def copies(arrays, folder):
    """Write the four files into a folder; return it."""
    for name, array in zip(NAMES, arrays, strict=True):
        put(folder, f"{name}.gz", idx(array))
    return folder


def test_order(arrays, tmp_path, monkeypatch, isolated, no_download):
    """A path goes before $CNNBOOK_DATA, and that before the cache."""
    named, set_, cached = (
        copies(arrays, f)
        for f in (tmp_path / "path", tmp_path / "set", isolated / "mnist")
    )
    monkeypatch.setenv("CNNBOOK_DATA", str(set_))
    assert load_mnist(named)[0].source == str(named)
    assert load_mnist()[0].source == str(set_)
    assert load_mnist(download=True)[0].source == str(set_)
    monkeypatch.delenv("CNNBOOK_DATA")
    check(load_mnist(), arrays, cached)
    check(load_mnist(download=True), arrays, cached)
    monkeypatch.setenv("CNNBOOK_DATA", "")  # counts as not set
    assert load_mnist()[1].source == str(cached)


def test_data_variable_may_name_an_archive(arrays, tmp_path, monkeypatch):
    """$CNNBOOK_DATA takes what the path takes; what is wrong is said."""
    path = write_npz(tmp_path / "mnist.npz", arrays)
    monkeypatch.setenv("CNNBOOK_DATA", str(path))
    check(load_mnist(), arrays, path)
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_mnist()
    monkeypatch.setenv("CNNBOOK_DATA", "sample")
    assert len(load_mnist()[0]) == 12_000


def test_corrupt_cache_is_said(arrays, isolated, no_download):
    """A damaged file in the cache is an error, not a silent sample."""
    copies(arrays, isolated / "mnist")
    path = put(isolated, f"mnist/{NAMES[3]}.gz", b"")
    with pytest.raises(ValueError, match=path.name):
        load_mnist()


def test_sample_is_the_last_resort(no_download, isolated):
    """With nothing else there, the sample comes, and says so."""
    with pytest.warns(UserWarning, match=r"sample.*download=True") as caught:
        train, test = load_mnist()
    assert caught[0].filename == __file__  # points at who called
    assert (len(train), len(test)) == (12_000, 2_000)
    assert "sample" in train.source
    assert "sample" in test.source
    assert not list(isolated.iterdir())


def test_download_only_when_asked(arrays, isolated, monkeypatch):
    """A download fills the cache, once; later it is read from there."""
    calls = []

    def fake(folder):
        calls.append(folder)
        copies(arrays, Path(folder))

    monkeypatch.setattr(data, "download_mnist", fake)
    with pytest.warns(UserWarning, match="sample"):
        load_mnist()
    assert calls == []
    for _ in range(2):
        check(load_mnist(download=True), arrays, isolated / "mnist")
    check(load_mnist(), arrays, isolated / "mnist")
    assert len(calls) == 1
    assert isolated in Path(calls[0]).parents


def test_download_mends_an_unfinished_cache(arrays, isolated, monkeypatch):
    """After a download that broke off, asking again fetches the rest."""

    def fake(folder):
        copies(arrays, Path(folder))

    monkeypatch.setattr(data, "download_mnist", fake)
    put(isolated, f"mnist/{NAMES[0]}.gz", idx(arrays[0]))
    check(load_mnist(download=True), arrays, isolated / "mnist")


# The download itself


@pytest.fixture
def openml(monkeypatch):
    """Return what OpenML answers: made-up digits that count as published."""
    datasets = pytest.importorskip("sklearn.datasets")
    pixels = np.zeros((70_000, 784), np.uint8)
    pixels[np.arange(70_000), np.arange(70_000) % 784] = 200
    labels = np.arange(70_000) % 10
    for k, part in enumerate((slice(60_000), slice(60_000, None))):
        images = pixels[part].reshape(-1, 28, 28)
        head = bytes([0, 0, 8, 3]) + b"".join(
            n.to_bytes(4, "big") for n in images.shape
        )
        monkeypatch.setitem(MNIST_FILES, NAMES[2 * k], md5(head + images.tobytes()))
        digits = idx(labels[part].astype(np.uint8))
        monkeypatch.setitem(MNIST_FILES, NAMES[2 * k + 1], md5(digits))
    answer = types.SimpleNamespace(
        data=pixels, target=labels.astype(str).astype(object)
    )

    def fetch(name, **options):
        assert name == "mnist_784"
        assert options["version"] == 1
        assert options["as_frame"] is False
        return answer

    monkeypatch.setattr(datasets, "fetch_openml", fetch)
    return answer


def test_download_right(openml, isolated):
    """Right data become four files that load; nothing else is written."""
    openml.data = openml.data.astype(np.int64)  # as OpenML's reader gives it
    train, test = load_mnist(download=True)
    folder = isolated / "mnist"
    assert {p.name for p in folder.iterdir()} == {f"{n}.gz" for n in NAMES}
    assert (len(train), len(test)) == (60_000, 10_000)
    assert test.labels[:3].tolist() == [0, 1, 2]
    place = np.unravel_index(60_001 % 784, (28, 28))
    assert test.images[1, 0][place] == pytest.approx(200 / 255)
    np.testing.assert_allclose(test.images.sum(axis=(1, 2, 3)), 200 / 255, rtol=1e-6)
    again, _ = load_mnist()  # from the cache, without a warning
    assert len(again) == 60_000


def one_pixel(answer):
    """Change one pixel of the last test image."""
    answer.data[69_999, 0] ^= 1


def one_label(answer):
    """Change one label."""
    answer.target[5] = "7"


def too_few(answer):
    """Leave out the last digit."""
    answer.data, answer.target = answer.data[:-1], answer.target[:-1]


def other_labels(answer):
    """Answer with one label fewer than images."""
    answer.target = answer.target[:-1]


def other_data(answer):
    """Answer with another data set."""
    answer.data, answer.target = np.ones((150, 4)), np.zeros(150).astype(str)


@pytest.mark.parametrize(
    "change", [one_pixel, one_label, too_few, other_labels, other_data]
)
def test_download_wrong(openml, tmp_path, change):
    """Anything else is a ValueError, and nothing is written."""
    change(openml)
    with pytest.raises(ValueError):
        download_mnist(tmp_path / "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [one_pixel, other_data])
def test_download_wrong_says_whose(openml, tmp_path, change):
    """The message says that OpenML sent something else."""
    change(openml)
    with pytest.raises(ValueError, match="OpenML"):
        download_mnist(tmp_path / "new")


def test_download_without_scikit_learn(monkeypatch, tmp_path, isolated):
    """A missing scikit-learn is named, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "cnnbook\[data\]"'):
        load_mnist(download=True)
    assert not list(isolated.iterdir())


# The bundled sample, and all of MNIST


@pytest.fixture(scope="module")
def sample():
    """Return the bundled sample."""
    return load_mnist("sample")


def test_sample(sample):
    """Shapes, dtypes, range and names are as promised; no warning comes."""
    for split, count in zip(sample, (12_000, 2_000), strict=True):
        images, labels = split
        assert images.shape == (count, 1, 28, 28)
        assert images.dtype == np.float32
        assert labels.shape == (count,)
        assert labels.dtype == np.int64
        assert (images.min(), images.max()) == (0, 1)
        assert set(labels.tolist()) == set(range(10))
        assert np.bincount(labels).min() > 0.07 * count
        assert split.source == "the sample of MNIST that cnnbook bundles"
        assert len(split) == count
        whole = images.astype(np.float64) * 255
        np.testing.assert_allclose(whole, np.rint(whole), atol=1e-4)
    sizes = sum(p.stat().st_size for p in BUNDLED.iterdir())
    assert sizes < 3_000_000


def test_sample_is_every_fifth(sample, full_mnist):
    """The sample is every fifth image of each split of the real MNIST."""
    full = load_mnist(full_mnist)
    for part, whole, count in zip(sample, full, (60_000, 10_000), strict=True):
        assert len(whole) == count
        assert whole.images.shape == (count, 1, 28, 28)
        np.testing.assert_array_equal(part.images, whole.images[::5])
        np.testing.assert_array_equal(part.labels, whole.labels[::5])
        assert whole.source == str(full_mnist)
    # The official first labels, as in LeCun's description.
    assert full[0].labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert full[1].labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_sample_can_be_made_again(full_mnist, load_script, tmp_path):
    """The script gives the bundled files' contents, byte by byte."""
    script = load_script("make_sample")
    written = script.make_sample(full_mnist, tmp_path / "made")
    assert {Path(p).name for p in written} == {f"{n}.gz" for n in SAMPLE_FILES}
    for path in written:
        made = gzip.decompress(Path(path).read_bytes())
        bundled = gzip.decompress((BUNDLED / Path(path).name).read_bytes())
        assert made == bundled
        assert md5(made) == SAMPLE_FILES[Path(path).name.removesuffix(".gz")]


def test_full_npz(full_mnist, tmp_path):
    """Keras's archive of all of MNIST passes the published checksums."""
    raw = [
        np.frombuffer(content, np.uint8, offset=offset)
        for name, offset in zip(NAMES, (16, 8, 16, 8), strict=True)
        for content in [gzip.decompress((full_mnist / f"{name}.gz").read_bytes())]
    ]
    raw = [a.reshape(-1, 28, 28) if k % 2 == 0 else a for k, a in enumerate(raw)]
    path = write_npz(tmp_path / "mnist.npz", raw)
    train, test = load_mnist(path)
    assert (len(train), len(test)) == (60_000, 10_000)
    np.testing.assert_array_equal(test.labels, raw[3])
    np.testing.assert_allclose(test.images[:, 0], raw[2] / np.float32(255), rtol=1e-6)


def test_full_is_not_the_sample(full_mnist, monkeypatch):
    """$CNNBOOK_DATA with all of MNIST gives no warning."""
    monkeypatch.setenv("CNNBOOK_DATA", str(full_mnist))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_mnist()[1]) == 10_000


def test_digits():
    """Digits unpack, count, can be picked from, and show their source."""
    images = np.arange(4 * 784, dtype=np.float32).reshape(4, 1, 28, 28)
    digits = Digits(images, np.array([3, 1, 4, 1]), "a test")
    x, y = digits
    assert x is digits.images
    assert y is digits.labels
    for which, expected in [
        (slice(1, 3), [1, 4]),
        ([3, 0], [1, 3]),
        (digits.labels == 1, [1, 1]),
    ]:
        part = digits.take(which)
        assert part.labels.tolist() == expected
        assert len(part.images) == len(part) == 2
        assert part.source == "a test"
    assert "4" in repr(digits)
    assert "a test" in repr(digits)
    with pytest.raises(AttributeError):
        digits.labels = y


# The photograph


def test_photograph():
    """Shape, dtype and range are as promised; every number is a byte over 255."""
    x = load_photograph()
    assert x.shape == (3, 213, 320)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0, 1)
    assert x.flags.c_contiguous
    whole = x.astype(np.float64) * 255
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-4)
    assert len(np.unique(np.rint(whole))) == 256  # nothing was cut or stretched
    for channel in x:
        assert channel.std() > 0.1
        assert channel.std(axis=0).min() > 0
        assert channel.std(axis=1).min() > 0


def test_photograph_has_colours():
    """The channels differ: the sky is blue, the roof is red."""
    red, green, blue = load_photograph()
    assert (red != green).mean() > 0.5
    sky, roof = np.s_[:20, :60], np.s_[132:138, 50:110]
    assert red[sky].mean() < green[sky].mean() < blue[sky].mean()
    assert red[roof].mean() > green[roof].mean() > blue[roof].mean()


def test_photograph_is_fresh_each_time():
    """Writing into one leaves the next as it was."""
    first, second = load_photograph(), load_photograph()
    kept = second.copy()
    assert not np.shares_memory(first, second)
    first[...] = 7
    np.testing.assert_array_equal(second, kept)
    np.testing.assert_array_equal(load_photograph(), kept)


def test_photograph_needs_no_data_and_gives_no_warning(monkeypatch, tmp_path, isolated):
    """Where the digits are doesn't matter to it, and it writes nothing."""
    expected = load_photograph()
    monkeypatch.setenv("CNNBOOK_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(load_photograph(), expected)
    assert not list(isolated.iterdir())


def test_photograph_that_is_damaged_is_named(monkeypatch, tmp_path):
    """As with the digits, the message says which file, and what is wrong."""
    monkeypatch.setattr(data, "files", lambda _: tmp_path)
    with pytest.raises(FileNotFoundError, match=PHOTOGRAPH):
        load_photograph()
    whole = gzip.decompress((PHOTOGRAPHS / f"{PHOTOGRAPH}.gz").read_bytes())
    put(tmp_path, f"photograph/{PHOTOGRAPH}.gz", whole[:-1])
    with pytest.raises(ValueError, match=rf"{PHOTOGRAPH}.*truncated"):
        load_photograph()


def test_photograph_lies_beside_its_licence():
    """Its author, source and licence are named, and that it was changed."""
    names = {path.name for path in PHOTOGRAPHS.iterdir()}
    assert names == {"LICENSE", f"{PHOTOGRAPH}.gz"}
    text = " ".join((PHOTOGRAPHS / "LICENSE").read_text("utf-8").split())
    for part in (
        "danielbuechele",
        "https://www.flickr.com/photos/danielbuechele/6061409035/",
        "https://creativecommons.org/licenses/by/2.0/",
        "CC BY 2.0",
        "half as large",
        "scripts/make_photograph.py",
    ):
        assert part in text
    assert sum(path.stat().st_size for path in PHOTOGRAPHS.iterdir()) < 200_000


def test_photograph_can_be_made_again(load_script, tmp_path):
    """The script gives the bundled file's contents, byte by byte."""
    script = load_script("make_photograph")
    made = script.make_photograph(tmp_path / "made")
    assert Path(made) == tmp_path / "made" / f"{PHOTOGRAPH}.gz"
    bundled = PHOTOGRAPHS / Path(made).name
    fresh, kept = (gzip.decompress(Path(p).read_bytes()) for p in (made, bundled))
    assert fresh == kept
    pixels = from_idx(fresh).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(pixels, load_photograph(), strict=True)
    again = script.make_photograph(tmp_path / "made")
    assert Path(again).read_bytes() == gzip.compress(fresh, 9, mtime=0)


def test_photograph_is_half_of_scikit_learns():
    """Each pixel is the mean of four, rounded, its channel and place kept."""
    from sklearn.datasets import load_sample_image

    whole = load_sample_image("china.jpg")
    assert whole.shape == (427, 640, 3)
    half = np.rint(load_photograph() * 255)
    for channel, i, j in np.random.default_rng(0).integers(0, (3, 213, 320), (500, 3)):
        four = whole[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, channel]
        assert abs(half[channel, i, j] - sum(four.ravel().tolist()) / 4) <= 0.5


def test_photographs_script_says_how_it_is_used(tmp_path):
    """Too many arguments give the usage, and no file."""
    script = Path(__file__).parent.parent / "scripts" / "make_photograph.py"
    command = [sys.executable, str(script), "one", "two"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "make_photograph.py [OUTPUT]" in done.stderr
    assert not list(tmp_path.iterdir())


# float_arrays


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float16, np.float32, np.float32),
        (np.int64, np.int8, np.float64),
        (np.uint8, np.float32, np.float64),
        (bool, bool, np.float64),
    ],
)
def test_float_arrays_dtype(first, second, expected):
    """One dtype for all; whole numbers and booleans count as float64."""
    a, b = np.ones(2, first), np.ones((2, 2), second)
    for found in float_arrays(a=a, b=b):
        assert found.dtype == expected
        assert np.all(found == 1)
    assert a.dtype == first


def test_float_arrays_none_and_copies():
    """None stays None; lists come as arrays; the right dtype isn't copied."""
    x = np.ones(3, np.float32)
    found = float_arrays(x=x, bias=None)
    assert found[0] is x or np.shares_memory(found[0], x)
    assert found[1] is None
    assert float_arrays(bias=None) == [None]
    assert float_arrays() == []
    (listed,) = float_arrays(a=[[1, 2], [3, 4]])
    assert listed.tolist() == [[1, 2], [3, 4]]
    assert listed.dtype == np.float64
    assert float_arrays(a=2.5)[0].shape == ()


@pytest.mark.parametrize(
    "value",
    ["text", ["a"], [1, None], [1 + 2j], [[1], [1, 2]], object()]
    + [np.array(["2020-01-01"], "M8[D]"), b"bytes"],
)
def test_float_arrays_errors(value):
    """What holds no real numbers is refused under its own name."""
    with pytest.raises(TypeError, match="^weight: "):
        float_arrays(x=[1.0], weight=value, bias=None)
