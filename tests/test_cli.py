"""The command line: training, testing, asking, and photographs made like MNIST."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import cnnbook.cli as cli
from cnnbook.checkpoints import load_checkpoint
from cnnbook.data import load_mnist, load_photograph

DIGITS = load_mnist("sample")[1].images[:, 0]


@pytest.fixture
def few(monkeypatch):
    """A data set of 360 training and 100 test digits."""
    train, test = load_mnist("sample")
    parts = train.take(slice(360)), test.take(slice(100))
    monkeypatch.setattr(cli, "open_data", lambda name, download=False: parts)
    return parts


def run(capsys, *arguments):
    """Call the command line; return the exit code, the output and the errors."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse's own
        code = stop.code
    return code, *capsys.readouterr()


def save(path, pixels):
    """Write brightness (H, W) from 0 to 1 as an image file."""
    Image.fromarray((255 * np.clip(pixels, 0, 1)).astype(np.uint8)).save(path)
    return path


def paper(digit, scale=5, top=20, left=40, size=(200, 260)):
    """A digit in dark ink on white paper, (H, W)."""
    sheet = np.ones(size)
    ink = np.kron(digit, np.ones((scale, scale)))
    sheet[top : top + len(ink), left : left + ink.shape[1]] -= 0.9 * ink
    return sheet


def test_from_training_to_an_answer(few, tmp_path, capsys):
    """Train, evaluate, predict and info, one after the other, as text."""
    folder = tmp_path / "run"
    code, out, err = run(capsys, "train", "--epochs", 3, "--output", folder)
    assert code == 0
    assert "best validation accuracy" in out and out.count("\n") == 1
    assert "epoch  3/3" in err and "330 images" in err
    code, out, err = run(capsys, "evaluate", folder)
    assert (code, err) == (0, "")
    assert "% of 100 images" in out
    matrix = out.split("(rows: true):\n")[1].split("\nlargest")[0]
    rows = [list(map(int, line.split())) for line in matrix.splitlines()]
    assert [row[0] for row in rows[1:]] == list(range(10))
    assert sum(sum(row[1:]) for row in rows[1:]) == 100
    photo = save(tmp_path / "photo.png", paper(DIGITS[0]))
    code, out, err = run(capsys, "predict", "--run", folder, photo)
    assert (code, err) == (0, "")
    assert out.startswith(f"{photo}: ") and out.count("%") == 3
    code, out, err = run(capsys, "info", folder)
    assert (code, err) == (0, "")
    assert "epochs_done" in out and "numpy" in out


def test_json_says_the_same(few, tmp_path, capsys):
    """With --json, the output is one JSON object and nothing else."""
    folder = tmp_path / "run"
    options = ("--epochs", 4, "--optimizer", "sgd", "--lr", 0.05, "--output", folder)
    code, out, _ = run(capsys, "train", "--json", "--schedule", "cosine", *options)
    trained = json.loads(out)
    assert (code, trained["optimizer"], trained["lr"]) == (0, "sgd", 0.05)
    code, out, _ = run(capsys, "evaluate", "--json", folder)
    tested = json.loads(out)
    matrix = np.array(tested["confusion_matrix"])
    assert matrix.shape == (10, 10) and matrix.sum() == tested["images"] == 100
    assert tested["accuracy"] == pytest.approx(np.trace(matrix) / 100)
    np.testing.assert_allclose(
        tested["per_class"], np.diag(matrix) / matrix.sum(axis=1)
    )
    files = [save(tmp_path / f"{k}.png", paper(DIGITS[k])) for k in range(4)]
    code, out, _ = run(capsys, "predict", "--json", "--run", folder, *files)
    answers = json.loads(out)["predictions"]
    assert [a["image"] for a in answers] == [str(file) for file in files]
    for answer in answers:
        assert sum(answer["probabilities"]) == pytest.approx(1)
        assert answer["class"] == int(np.argmax(answer["probabilities"]))
    code, out, _ = run(capsys, "info", "--json", folder)
    told = json.loads(out)
    assert told["models"]["small"] == 174_554
    assert told["run"]["epochs_done"] == 4


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "none"])
def test_stopped_and_resumed_ends_like_one_run(
    schedule, few, tmp_path, capsys, monkeypatch
):
    """Ctrl-C in the third epoch, then --resume: the same weights, bit for bit."""
    options = ("--epochs", 4, "--schedule", schedule, "--model", "light", "--seed", 3)
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert run(capsys, "train", *options, "--output", straight)[0] == 0
    import cnnbook.training

    step, count = cnnbook.training.train_step, iter(range(10**6))

    def interrupted(*arguments):
        if next(count) == 14:  # six batches an epoch
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(cnnbook.training, "train_step", interrupted)
    code, out, err = run(capsys, "train", *options, "--output", stopped)
    assert (code, out) == (130, "")
    assert "--resume" in err and str(stopped) in err
    assert load_checkpoint(stopped / "checkpoint.safetensors").epoch == 2
    monkeypatch.setattr(cnnbook.training, "train_step", step)
    code, _, err = run(capsys, "train", "--resume", "--output", stopped)
    assert code == 0 and "epoch  3/4" in err and "epoch  2/4" not in err
    kept = [
        load_checkpoint(folder / "checkpoint.safetensors")
        for folder in (straight, stopped)
    ]
    assert kept[0].history == kept[1].history
    for name, array in kept[0].weights.items():
        assert array.tobytes() == kept[1].weights[name].tobytes()
        assert kept[0].best[name].tobytes() == kept[1].best[name].tobytes()


def test_stopped_in_the_first_epoch(few, tmp_path, capsys, monkeypatch):
    """There is a checkpoint from the very beginning."""
    import cnnbook.training

    def stop(*arguments):
        raise KeyboardInterrupt

    step = cnnbook.training.train_step
    monkeypatch.setattr(cnnbook.training, "train_step", stop)
    assert run(capsys, "train", "--epochs", 1, "--output", tmp_path)[0] == 130
    monkeypatch.setattr(cnnbook.training, "train_step", step)
    assert run(capsys, "train", "--resume", "--output", tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "required"),
        (("teach",), 2, "invalid choice"),
        (("train", "--epochs", "0"), 2, "at least 1"),
        (("train", "--epochs", "many"), 2, "--epochs"),
        (("train", "--lr", "-1"), 2, "at least 0"),
        (("train", "--lr", "nan"), 2, "at least 0"),
        (("train", "--model", "colour"), 2, "--model"),
        (("train", "--seed", "-1"), 2, "at least 0"),
        (("predict",), 2, "IMAGE"),
        (("evaluate", "nowhere"), 1, "cnnbook train"),
        (("predict", "--run", "nowhere", "a.png"), 1, "cnnbook train"),
        (("train", "--data", "nowhere"), 1, "nowhere"),
        (("train", "--resume", "--output", "nowhere"), 1, "nowhere"),
    ],
)
def test_mistakes_of_the_caller(arguments, code, says, tmp_path, capsys, monkeypatch):
    """A wrong option ends with 2, everything else with 1; nothing on the output."""
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (code, "")
    assert says in err and "Traceback" not in err


def test_a_run_is_not_overwritten(few, tmp_path, capsys):
    """Training into a folder with a run is refused; so are options beside --resume."""
    assert run(capsys, "train", "--epochs", 1, "--output", tmp_path)[0] == 0
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    code, _, err = run(capsys, "train", "--epochs", 1, "--output", tmp_path)
    assert code == 1 and "--resume" in err
    code, _, err = run(capsys, "train", "--resume", "--lr", 1, "--output", tmp_path)
    assert code == 1 and "--lr" in err
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize("command", ["", "train", "evaluate", "predict", "info"])
def test_help_has_an_example(command, capsys):
    """Help goes to the output, ends with 0 and shows how."""
    code, out, err = run(capsys, *([command] if command else []), "--help")
    assert (code, err) == (0, "")
    assert "example" in out and "cnnbook" in out


def test_output_that_is_cut_off(tmp_path):
    """A reader that closes the pipe, as head does, is no error."""
    code = "import sys; from cnnbook.cli import main; sys.exit(main(['info']))"
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    )
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), err) == (0, "")


# A photograph becomes a digit of MNIST's.


def distance(a, b):
    """How far apart two digits are, in units of the second."""
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@settings(max_examples=40)
@given(
    k=st.integers(0, len(DIGITS) - 1),
    scale=st.integers(2, 6),
    top=st.integers(0, 30),
    left=st.integers(0, 90),
    light=st.floats(-0.3, 0.3),
)
def test_size_place_and_light_do_not_matter(k, scale, top, left, light):
    """The same digit, written anywhere, at any size, in slanting light."""
    plain = cli.as_mnist(paper(DIGITS[k], 4))
    sheet = paper(DIGITS[k], scale, top + 3, left + 3)
    slope = np.linspace(0, light, sheet.shape[1])[None]
    other = cli.as_mnist(0.7 * sheet + slope)
    assert other.shape == (1, 28, 28) and other.dtype == np.float32
    assert other.min() >= 0 and other.max() <= 1
    assert distance(other, plain) < 0.35


def test_digits_of_mnist_come_back():
    """Put on paper and read again, they are nearly what they were, where they were."""
    far = []
    for digit in DIGITS[:60]:
        again = cli.as_mnist(paper(digit))[0]
        far.append(distance(again, digit))
        for axis in (0, 1):
            before, after = (
                np.average(np.arange(28), weights=image.sum(axis=1 - axis))
                for image in (digit, again)
            )
            assert abs(after - before) < 1.1
    assert np.median(far) < 0.2
    assert max(far) < 0.9  # one pixel off, where rounding went the other way


def test_chalk_and_pen_colour_and_bytes():
    """Dark on bright as bright on dark; grey as colour; from 0 to 1 as to 255."""
    sheet = paper(DIGITS[3])
    plain = cli.as_mnist(sheet)
    np.testing.assert_allclose(cli.as_mnist(1 - sheet), plain, atol=0.01)
    np.testing.assert_allclose(cli.as_mnist(np.stack([sheet] * 3)), plain, atol=0.01)
    np.testing.assert_allclose(cli.as_mnist(np.rint(255 * sheet)), plain, atol=0.05)
    fixed = sheet.copy()
    fixed.flags.writeable = False
    np.testing.assert_array_equal(cli.as_mnist(fixed), plain)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.ones((50, 40)), "nothing"),
        (np.zeros((50, 40)), "nothing"),
        (np.full((50, 40), 0.5), "nothing"),
        (np.random.default_rng(0).normal(0.5, 0.005, (60, 60)), "nothing"),
        (np.ones((2, 2)), "needs"),
        (np.ones((4, 20, 20)), "needs"),
        (np.ones(784), "needs"),
        (np.full((30, 30), np.nan), "NaN"),
        (np.ones((30, 0)), "needs"),
    ],
)
def test_what_is_no_digit_is_refused(image, says):
    """A clear error instead of an answer about nothing."""
    with pytest.raises(ValueError, match=f"^image: .*{says}"):
        cli.as_mnist(image)


def test_a_picture_of_something_else_gets_some_answer():
    """The pagoda isn't a digit; it is made one, without an error."""
    assert cli.as_mnist(load_photograph()).shape == (1, 28, 28)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "I;16", "LA"])
def test_image_files_of_every_kind(mode, tmp_path):
    """Whatever Pillow opens, the ink is the same."""
    sheet = Image.fromarray((255 * paper(DIGITS[2])).astype(np.uint8))
    if mode == "I;16":
        wide = 257 * np.asarray(sheet).astype(np.uint16)
        picture, name = Image.fromarray(wide), "sheet.png"
    else:
        picture, name = sheet.convert(mode), "sheet.tif" if mode == "CMYK" else "s.png"
    picture.save(tmp_path / name)
    pixels = cli.read_picture(tmp_path / name)
    assert pixels.shape == (3, 200, 260) and 0 <= pixels.min() <= pixels.max() <= 1
    plain = cli.as_mnist(paper(DIGITS[2]))
    assert distance(cli.as_mnist(pixels), plain) < 0.3


def test_transparent_is_paper_and_cameras_are_believed(tmp_path):
    """Ink on nothing is ink on white; a picture on its side is turned upright."""
    ink = 1 - paper(DIGITS[4])
    layers = np.zeros((*ink.shape, 4), np.uint8)
    layers[..., 3] = 255 * ink
    Image.fromarray(layers).save(tmp_path / "clear.png")
    plain = cli.as_mnist(paper(DIGITS[4]))
    assert distance(cli.as_mnist(cli.read_picture(tmp_path / "clear.png")), plain) < 0.2
    sideways = Image.fromarray((255 * np.rot90(paper(DIGITS[4]))).astype(np.uint8))
    note = Image.Exif()
    note[0x0112] = 6  # the camera was turned by a quarter
    sideways.save(tmp_path / "side.png", exif=note)
    assert distance(cli.as_mnist(cli.read_picture(tmp_path / "side.png")), plain) < 0.2


@pytest.mark.parametrize(
    "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"x" * 50]
)
def test_files_that_are_no_images(content, tmp_path):
    """The message names the file."""
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.png: "):
        cli.read_picture(path)


def test_files_that_are_missing_cut_off_or_folders(tmp_path):
    """So it does here."""
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        cli.read_picture(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="can't be read"):
        cli.read_picture(tmp_path)
    whole = save(tmp_path / "whole.png", paper(DIGITS[0])).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.png: a damaged image"):
        cli.read_picture(tmp_path / "half.png")


def test_large_pictures_are_made_smaller(tmp_path):
    """A photograph of many pixels is read, at most a thousand wide and high."""
    Image.fromarray(np.full((1500, 3000), 250, np.uint8)).save(tmp_path / "large.png")
    assert cli.read_picture(tmp_path / "large.png").shape == (3, 500, 1000)


def test_without_pillow(monkeypatch):
    """What to install is said."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"cnnbook\[train\]"):
        cli.as_mnist(paper(DIGITS[0]))


def test_otsu_finds_the_middle_of_two_heaps():
    """Between two heaps of numbers, however unequal."""
    rng = np.random.default_rng(0)
    for share in (0.05, 0.5, 0.9):
        heap = rng.random(5000) < share
        values = np.where(heap, 0.8, 0.1) + rng.normal(0, 0.03, 5000)
        assert 0.2 < cli.otsu(values) < 0.7


def test_flattened_light_is_zero_on_paper():
    """A plane is taken away whole; the picture is not changed."""
    down, right = np.mgrid[0:40, 0:60] / 60
    sheet = 0.3 + 0.2 * down - 0.4 * right
    kept = sheet.copy()
    np.testing.assert_allclose(cli.flatten_light(sheet), 0, atol=1e-12)
    np.testing.assert_array_equal(sheet, kept)
