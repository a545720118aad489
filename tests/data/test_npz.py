"""NumPy archives."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from natdeploy.data import load_dataset
from natdeploy.data.sources import npz
from natdeploy.ground.errors import BadInput

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data packs are not beside the checkout")


def pixels(count=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)


def blob_of(images):
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        files.append(buffer.getvalue())
    offsets = np.cumsum([0] + [len(file) for file in files])
    return {"blob": np.frombuffer(b"".join(files), dtype=np.uint8), "off": offsets}


def labels(count=30):
    return (np.arange(count) % 3).astype(np.uint8)


def test_pixels_and_encoded_files_give_the_same(tmp_path):
    np.savez(tmp_path / "plain.npz", images=pixels(), label=labels())
    np.savez_compressed(tmp_path / "files.npz", labels=labels(), **blob_of(pixels()))
    plain, files = load_dataset(str(tmp_path / "plain.npz")), load_dataset(str(tmp_path / "files.npz"))
    assert plain.fingerprint == files.fingerprint
    assert plain.classes == ("0", "1", "2")


def test_grey_images_become_rgb(tmp_path):
    np.savez(tmp_path / "grey.npz", images=pixels()[..., 0], label=labels())
    assert load_dataset(str(tmp_path / "grey.npz")).train.images.shape[1:] == (6, 6, 3)


def test_siblings_and_class_names_are_found(tmp_path):
    np.savez(tmp_path / "train.npz", images=pixels(), label=labels())
    np.savez(tmp_path / "test.npz", images=pixels(9, 1), label=labels(9))
    (tmp_path / "classes.json").write_text('["ant", "bee", "cat"]')
    for source in (tmp_path, tmp_path / "train.npz"):
        data = load_dataset(str(source))
        assert data.name == tmp_path.name
        assert data.classes == ("ant", "bee", "cat")
        assert len(data.test) == 9
        assert len(data.train) + len(data.val) == 30


def test_a_given_split_is_kept(tmp_path):
    split = np.array(["train"] * 18 + ["valid"] * 6 + ["test"] * 6)
    np.savez(tmp_path / "images.npz", images=pixels(), label=labels(), split=split)
    data = load_dataset(str(tmp_path))
    expected = {image.tobytes() for image in pixels()[24:]}
    assert {image.tobytes() for image in data.test.images} == expected
    assert (len(data.train), len(data.val)) == (18, 6)


def test_repeated_class_names_are_told_apart(tmp_path):
    np.savez(tmp_path / "a.npz", images=pixels(), label=labels())
    names = '[{"name": "crane", "wnid": "n1"}, {"name": "crane", "wnid": "n2"}, {"name": "ox", "wnid": "n3"}]'
    (tmp_path / "classes.json").write_text(names)
    assert load_dataset(str(tmp_path / "a.npz")).classes == ("crane (n1)", "crane (n2)", "ox")


BAD = {
    "images' is float64": {"images": pixels().astype(float), "label": labels()},
    "key 'images' is uint8": {"images": pixels()[..., :2], "label": labels()},
    "neither key": {"label": labels()},
    "key 'label' is missing": {"images": pixels()},
    "key 'label' is float64": {"images": pixels(), "label": labels().astype(float)},
    "30 images but 29 labels": {"images": pixels(), "label": labels(29)},
    "key 'label' reaches": {"images": pixels(), "label": labels() + np.int64(5000)},
    "has label -1": {"images": pixels(), "label": labels().astype(int) - 1},
    "key 'off'": {**blob_of(pixels()), "off": np.arange(31)[::-1], "label": labels()},
    "key 'blob'": {**blob_of(pixels()), "blob": np.zeros((3, 3)), "label": labels()},
    "image 0: not an image": {"blob": np.zeros(300, np.uint8), "off": np.arange(31) * 10, "label": labels()},
    "names part 'trian'": {"images": pixels(), "label": labels(), "split": np.array(["trian"] * 30)},
    "key 'split' must": {"images": pixels(), "label": labels(), "split": np.zeros(30)},
    "only one class": {"images": pixels(), "label": labels() * 0},
    "no training images": {"images": pixels(), "label": labels(), "split": np.array(["test"] * 30)},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_archives_name_file_and_key(tmp_path, message):
    np.savez(tmp_path / "bad.npz", **BAD[message])
    with pytest.raises(BadInput, match=message) as error:
        load_dataset(str(tmp_path / "bad.npz"))
    assert "bad.npz" in str(error.value)
    assert "\n" not in str(error.value)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_pickles_are_never_run(tmp_path):
    posing = tmp_path / "posing.npz"
    posing.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadInput, match=r"posing\.npz: not an \.npz"):
        load_dataset(str(posing))
    inside = tmp_path / "inside.npz"
    np.savez(inside, images=np.array([Trap()] * 4, dtype=object), label=labels(4))
    with pytest.raises(BadInput, match=r"inside\.npz: holds pickled"):
        load_dataset(str(inside))


def test_damaged_archives_are_named(tmp_path):
    path = tmp_path / "cut.npz"
    np.savez(path, images=pixels(), label=labels())
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:200] + bytes(200) + whole[400:]):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"cut\.npz") as error:
            load_dataset(str(path))
        assert "\n" not in str(error.value)


def test_archives_larger_than_the_memory_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "big.npz", images=pixels(), label=labels())
    memory = npz.psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(npz.psutil, "virtual_memory", lambda: memory)
    with pytest.raises(BadInput, match=r"big\.npz: unpacks to"):
        load_dataset(str(tmp_path / "big.npz"))


def test_a_broken_class_file_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", images=pixels(), label=labels())
    for text in ("{", "{}", "[1, 2]", "[]"):
        (tmp_path / "classes.json").write_text(text)
        with pytest.raises(BadInput, match=r"classes\.json"):
            load_dataset(str(tmp_path / "a.npz"))


@needs_shared
def test_the_flowers_pack_keeps_its_test_part():
    data = load_dataset(str(SHARED / "flowers12" / "images.npz"))
    assert data.name == "flowers12"
    assert len(data.classes) == 12
    assert np.bincount(data.test.labels).tolist() == [10] * 12
    assert len(data.train) + len(data.val) == 720


@needs_shared
def test_the_textures_pack_keeps_its_validation_part():
    data = load_dataset(str(SHARED / "dtd10"))
    assert np.bincount(data.val.labels).tolist() == [30] * 10
    assert len(data.train) + len(data.test) == 600


@needs_shared
def test_a_part_of_the_cifar_pack_is_read_by_itself():
    data = load_dataset(str(SHARED / "cifar10" / "test.npz"))
    assert data.classes[9] == "truck"
    assert len(data.train) + len(data.val) + len(data.test) == 10_000


@needs_shared
@pytest.mark.slow
def test_the_cifar_pack_is_read_whole():
    data = load_dataset(str(SHARED / "cifar10" / "train.npz"))
    assert data.classes[0] == "airplane"
    assert (len(data.train) + len(data.val), len(data.test)) == (50_000, 10_000)
    assert data.mean == pytest.approx((0.4913, 0.4821, 0.4465), abs=2e-3)
    assert np.bincount(data.test.labels).tolist() == [1000] * 10


def test_class_names_that_are_no_list_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=pixels(), label=labels(), classes="ab")
    with pytest.raises(BadInput, match=r"a\.npz: key 'classes' is <U2\[\]"):
        load_dataset(str(tmp_path / "a.npz"))
