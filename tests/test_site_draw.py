"""The canvas in the page: its arithmetic, its pens, its words; without scripts, too."""

import base64
import json
import re

import numpy as np
import pytest
from visits import SITE, Visit, need_site

from cnnbook import draw
from cnnbook.data import load_mnist

need_site()

PAGE = "index.html"
ONE = [[[0.5, 0.2], [0.5, 0.4], [0.5, 0.6], [0.5, 0.8]]]


@pytest.fixture
def visit(browser):
    """The opening page, from the file system, its canvas in view."""
    with Visit(browser, PAGE) as opened:
        opened.page.set_default_timeout(5000)
        ready(opened.page)
        yield opened


@pytest.fixture(scope="module")
def loaded(browser):
    """A page whose network is loaded, for arithmetic."""
    with Visit(browser, PAGE) as opened:
        ready(opened.page)
        opened.page.evaluate(
            "async () => { window.network = await cnnbookDraw.load(); }"
        )
        yield opened.page
        assert opened.complaints == []


@pytest.fixture(scope="module")
def digits():
    """The test images of the bundled sample, and their labels."""
    test = load_mnist("sample")[1]
    return test.images, test.labels


def ready(page):
    page.wait_for_selector("div.draw.running")
    page.locator(".draw-canvas").scroll_into_view_if_needed()


def places(page, stroke):
    """Where the points of a stroke are on the screen."""
    edge = page.locator(".draw-canvas").bounding_box()
    return [
        (edge["x"] + x * edge["width"], edge["y"] + y * edge["height"])
        for x, y in stroke
    ]


def by_mouse(page, strokes):
    for stroke in strokes:
        first, *rest = places(page, stroke)
        page.mouse.move(*first)
        page.mouse.down()
        for place in rest:
            page.mouse.move(*place)
        page.mouse.up()


def answer(page):
    """The digit that is answered, once it is."""
    return int(page.locator(".draw-answer.draw-read strong").inner_text())


def wait_for_answer(page):
    page.wait_for_selector(".draw-answer.draw-read")
    return answer(page)


def live(page):
    return page.locator(".draw-live").inner_text()


def strokes_in(page):
    """How many pixels of the canvas are white: something is drawn, or nothing."""
    return page.eval_on_selector(
        ".draw-canvas",
        """canvas => {
            const copy = document.createElement("canvas");
            [copy.width, copy.height] = [canvas.width, canvas.height];
            const context = copy.getContext("2d", {willReadFrequently: true});
            context.drawImage(canvas, 0, 0);
            const data = context.getImageData(0, 0, copy.width, copy.height).data;
            let white = 0;
            for (let k = 0; k < data.length; k += 4) white += data[k + 2] > 200;
            return 4 * white / data.length;
        }""",
    )


# -- Test images as strokes


def enlarged(image, times=4):
    """An image (H, W), each pixel made more, with values in between."""
    for _ in range(2):
        old = np.arange(len(image))
        new = np.linspace(0, len(image) - 1, times * len(image))
        image = np.stack([np.interp(new, old, column) for column in image.T])
    return image


def thinned(ink):
    """The one-pixel skeleton of a black and white image (Zhang and Suen, 1984)."""
    ink = np.pad(ink, 1)
    around = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
    changed = True
    while changed:
        changed = False
        for phase in (0, 1):
            ring = [np.roll(ink, shift, (0, 1)) for shift in around]
            up, _, right, _, down, _, left, _ = ring
            count = np.sum(ring, axis=0)
            pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
            turns = np.sum([~a & b for a, b in pairs], axis=0)
            sides = (
                (up & right & down) | (right & down & left),
                (up & right & left) | (up & down & left),
            )[phase]
            gone = ink & (count >= 2) & (count <= 6) & (turns == 1) & ~sides
            changed |= bool(gone.any())
            ink = ink & ~gone
    return ink[1:-1, 1:-1]


def traced(skeleton):
    """Lines (K, 2) of (x, y) that go once along every link between its pixels."""
    points = {tuple(map(int, place)) for place in np.argwhere(skeleton)}
    links = {}
    for i, j in points:
        near = [(i + a, j + b) for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        near += [
            (i + a, j + b)
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            if not {(i + a, j), (i, j + b)} & points
        ]
        links[i, j] = [place for place in near if place in points]
    done, lines = set(), []

    def walk(line):
        while free := [
            p for p in links[line[-1]] if frozenset((line[-1], p)) not in done
        ]:
            if len(line) > 1:  # straight on, where lines cross
                ahead = np.subtract(line[-1], line[-2])
                step = np.subtract(free, line[-1])
                free.insert(0, free.pop(int(np.argmax(step @ ahead))))
            done.add(frozenset((line[-1], free[0])))
            line.append(free[0])
        return line

    for place in sorted(points, key=lambda p: (len(links[p]) != 1, p)):
        while any(frozenset((place, p)) not in done for p in links[place]):
            lines.append(walk([place]))
    return [np.array(line, float)[:, ::-1] for line in lines]


def as_strokes(image):
    """An image (28, 28) as strokes in shares of a canvas."""
    lines = [line for line in traced(thinned(enlarged(image) > 0.45)) if len(line) > 5]
    strokes = []
    for line in lines:
        padded = np.pad(line, ((2, 2), (0, 0)), mode="edge")
        smooth = np.mean([padded[k : k + len(line)] for k in range(5)], axis=0)
        strokes.append(smooth[:: 3 if len(smooth) > 9 else 1] / (4 * 28))
    return strokes


def test_skeletons_are_thin_and_of_the_same_form(digits):
    """What the other tests draw: lines one pixel wide, inside the strokes."""
    for image in digits[0][:20, 0]:
        ink = enlarged(image) > 0.45
        skeleton = thinned(ink)
        assert skeleton.any() and not (skeleton & ~ink).any()
        squares = skeleton[1:] & skeleton[:-1]
        assert not (squares[:, 1:] & squares[:, :-1]).any()
        assert skeleton.sum() < 0.3 * ink.sum()


# -- Arithmetic


def network_text():
    """The site's network as it was packed."""
    text = (SITE / "draw" / "network.js").read_text(encoding="ascii")
    assert text.startswith("window.cnnbookNetwork = {") and text.endswith("};\n")
    assert len(text) < 1_000_000
    return text[len("window.cnnbookNetwork = ") : -2]


def read_network():
    """The site's network, read without the library: (layer, weight, bias)."""
    packed = json.loads(network_text())

    def numbers(record):
        raw = np.frombuffer(base64.b64decode(record["data"]), "<f4")
        return raw.reshape(record["shape"]).astype(float)

    assert packed["input"] == [1, 28, 28]
    return [
        (
            layer,
            *(numbers(layer[k]) if k in layer else None for k in ("weight", "bias")),
        )
        for layer in packed["layers"]
    ]


def outputs(images):
    """What each layer of the site's network makes of images (N, 1, 28, 28)."""
    x, found = images.astype(float), []
    for layer, weight, bias in read_network():
        if layer["kind"] == "conv2d":
            assert layer["stride"] == [1, 1] and layer["dilation"] == [1, 1]
            assert layer["padding"] == [[0, 0], [0, 0]]
            views = np.lib.stride_tricks.sliding_window_view(
                x, weight.shape[2:], axis=(2, 3)
            )
            x = np.einsum("ncijuv,fcuv->nfij", views, weight) + bias[:, None, None]
        elif layer["kind"] == "maxpool2d":
            assert layer["size"] == layer["stride"] == [2, 2]
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
        elif layer["kind"] == "relu":
            x = np.where(x > 0, x, 0)
        elif layer["kind"] == "flatten":
            x = x.reshape(len(x), -1)
        else:
            assert layer["kind"] == "linear"
            x = x @ weight.T + bias
        found.append(x)
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return found, powers / powers.sum(axis=1, keepdims=True)


FORWARD = """images => images.map(image => {
    const {steps, logits, probabilities} = cnnbookDraw.forward(network, image);
    return [...steps.map(s => s.values), logits, probabilities].map(v => [...v]);
})"""


def test_forward_pass_agrees_with_numpy(loaded, digits):
    """Logits and probabilities of 200 test images, all layers of some, to 1e-5."""
    images = digits[0][::10]
    assert len(images) == 200
    layers, probabilities = outputs(images)
    flat = [image.ravel().tolist() for image in images]
    found = loaded.evaluate(
        FORWARD.replace("[...steps.map(s => s.values), ", "["), flat
    )
    logits, chances = (np.array([one[k] for one in found]) for k in (0, 1))
    worst = max(
        np.abs(logits - layers[-1]).max(), np.abs(chances - probabilities).max()
    )
    print(f"largest difference {worst:.1e}")
    assert worst < 1e-5
    for k, (*steps, _, _) in enumerate(loaded.evaluate(FORWARD, flat[:6])):
        for step, layer in zip(steps, layers, strict=True):
            assert np.abs(step - layer[k].ravel()).max() < 1e-5
    model = draw.unpacked(network_text())
    assert np.abs(logits - model(images)).max() < 1e-4  # which computes in float32


def test_other_layers_agree_with_the_library(loaded):
    """Strides, margins, dilations, no biases: what the book's network doesn't use."""
    from cnnbook.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

    model = Sequential(
        Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 2), bias=False, rng=0),
        MaxPool2d((3, 2), stride=(2, 3), padding=1),
        Conv2d(3, 4, 2, padding="same", dilation=(2, 3), rng=1),
        ReLU(),
        Flatten(),
        Linear(60, 5, bias=False, rng=2),
    )
    x = np.random.default_rng(0).normal(size=(1, 2, 12, 11)).astype(np.float32)
    found = loaded.evaluate(
        """([packed, image]) => {
            const small = cnnbookDraw.unpack(JSON.parse(packed));
            return [...cnnbookDraw.forward(small, image).logits];
        }""",
        [draw.packed(model, (2, 12, 11)), x.ravel().tolist()],
    )
    assert np.allclose(found, model(x)[0], atol=1e-5)


def test_wrong_files_and_images_are_refused(loaded):
    told = loaded.evaluate(
        """() => {
            const tries = [
                () => cnnbookDraw.forward(network, [1, 2, 3]),
                () => cnnbookDraw.unpack({layers: [{kind: "dropout"}]}),
                () => cnnbookDraw.unpack({layers: [
                    {kind: "linear", weight: {shape: [3], data: "AACAPw=="}}]}),
                () => cnnbookDraw.render([[[0, NaN]]]),
            ];
            return tries.map(one => {
                try { one(); return "nothing"; } catch (error) { return error.message; }
            });
        }"""
    )
    patterns = ["1 x 28 x 28 numbers", "no layer dropout", "damaged", "numbers only"]
    for message, pattern in zip(told, patterns, strict=True):
        assert pattern in message


def test_softmax_of_large_logits(loaded):
    found = loaded.evaluate("cnnbookDraw.softmax([1000, 999, -1000])")
    assert np.allclose(found, [1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0])


def test_render_agrees_with_numpy(loaded, digits):
    """Examples, test digits, scribbles, dots, lines, nothing."""
    rng = np.random.default_rng(0)
    drawings = [*draw.EXAMPLES, *map(as_strokes, digits[0][:40, 0])]
    for _ in range(60):
        sizes = rng.integers(1, 8, rng.integers(1, 5))
        spread = rng.choice([0.001, 0.05, 1, 3])
        drawings.append([spread * rng.uniform(size=(size, 2)) for size in sizes])
    drawings += [[], [[]], [[[0.3, 0.3]]], [[[0, 0.5], [1, 0.5]]], [[[0, 0], [0, 0]]]]
    for strokes in drawings:
        plain = [np.asarray(stroke).tolist() for stroke in strokes]
        found = loaded.evaluate("s => [...cnnbookDraw.render(s)]", plain)
        assert np.abs(found - draw.rendered(strokes).ravel()).max() < 1e-5


def test_a_hundred_test_digits_are_read(loaded, digits):
    """Redrawn as strokes: at least nine of ten."""
    images, labels = digits
    right = 0
    for image, label in zip(images[:100, 0], labels[:100], strict=True):
        plain = [stroke.tolist() for stroke in as_strokes(image)]
        found = loaded.evaluate(
            """s => [...cnnbookDraw.forward(network,
                cnnbookDraw.render(s)).probabilities]""",
            plain,
        )
        right += int(np.argmax(found) == label)
    print(f"{right} of 100 read right")
    assert right >= 90


def test_an_answer_takes_a_few_milliseconds(loaded):
    """The whole way from strokes, the best of some: others may have the processor."""
    took = loaded.evaluate(
        """strokes => Math.min(...Array.from({length: 20}, () => {
            const start = performance.now();
            cnnbookDraw.forward(network, cnnbookDraw.render(strokes));
            return performance.now() - start;
        }))""",
        draw.EXAMPLES[8],
    )
    print(f"{took:.1f} ms")
    assert took < 20


# -- Pens


def test_ten_test_digits_drawn_by_mouse(visit, digits):
    """One of each class, at different places and sizes: nine of ten are read."""
    page = visit.page
    images, labels = digits
    read = []
    for digit in range(10):
        strokes = as_strokes(images[np.flatnonzero(labels == digit)[0], 0])
        size = (1.2, 0.9, 0.6, 0.4)[digit % 4]
        x, y = ((0, 0), (1, 0), (0.5, 0.5), (0, 1), (1, 1))[digit % 5]
        points = np.concatenate(strokes)
        low, high = points.min(axis=0), points.max(axis=0)
        size = min(size, 0.95 / np.max(high - low))
        room = 1 - size * (high - low)
        corner = room * [x, y] * 0.96 + room * 0.02
        by_mouse(page, [(stroke - low) * size + corner for stroke in strokes])
        read.append(wait_for_answer(page))
        assert str(read[-1]) in live(page)
        page.get_by_role("button", name="Clear").click()
        assert page.locator(".draw-read").count() == 0
    print(read)
    assert np.sum(np.array(read) == np.arange(10)) >= 9, read
    assert visit.complaints == []


def test_it_answers_while_one_draws_and_speaks_when_one_stops(visit):
    page = visit.page
    by_mouse(page, ONE)
    assert wait_for_answer(page) == 1
    said = live(page)
    assert "a 1" in said
    assert page.locator(".draw-live").get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Clear").click()
    first, *rest = places(page, draw.EXAMPLES[7][0])
    said = live(page)
    page.mouse.move(*first)
    page.mouse.down()
    for place in rest:
        page.mouse.move(*place, steps=5)
    assert wait_for_answer(page) == 7
    assert live(page) == said == "Nothing is drawn yet."
    page.mouse.up()
    assert "a 7" in live(page)
    shares = page.locator(".draw-chances .draw-number").all_inner_texts()
    values = [float(text.strip("<>%")) for text in shares]
    assert len(values) == 10 and 98 < sum(values) < 102
    assert int(np.argmax(values)) == 7


def test_layers_are_shown(visit):
    """Each layer's picture has the layer's size, and the numbers' grays."""
    page = visit.page
    assert page.locator(".draw-layers").is_hidden()
    by_mouse(page, draw.EXAMPLES[3])
    wait_for_answer(page)
    sizes = page.eval_on_selector_all(
        ".draw-layers canvas", "all => all.map(c => [c.width, c.height])"
    )
    assert sizes == [[26, 26]] * 16 + [[13, 13]] * 8 + [[32, 4]] * 2
    words = page.locator(".draw-stage .draw-label").all_inner_texts()
    starts = ["Convolution: 8 maps of 26 x 26", "ReLU: 8 maps", "Max pooling: 8 maps"]
    starts += ["Dense layer: 128 units", "ReLU: 128 units", "Dense layer: the ten log"]
    for text, start in zip(words, starts, strict=True):
        assert text.startswith(start)
    grays = page.evaluate(
        """() => {
            const of = canvas => [...canvas.getContext("2d").getImageData(
                0, 0, canvas.width, canvas.height).data].filter((_, k) => k % 4 === 0);
            return [of(document.querySelector(".draw-seen")),
                ...[...document.querySelectorAll(".draw-layers canvas")].map(of)];
        }"""
    )
    picture = np.array(grays[0]).reshape(1, 1, 28, 28) / 255
    found, _ = outputs(picture)
    maps = np.array(grays[1:9]).reshape(8, 26, 26)
    expected = 127.5 * (1 + found[0][0] / np.abs(found[0]).max())
    assert np.abs(maps - expected).max() < 4  # the picture is in 256 grays
    rectified = np.array(grays[9:17]).reshape(8, 26, 26)
    assert np.abs(rectified - 255 * found[1][0] / found[1].max()).max() < 6
    logits = page.locator(".draw-logits .draw-number").all_inner_texts()
    numbers = [float(text.replace("−", "-")) for text in logits]
    assert np.abs(numbers - found[-1][0]).max() < 0.3


def test_undo_and_clear(visit):
    page = visit.page
    undo = page.get_by_role("button", name="Undo")
    clear = page.get_by_role("button", name="Clear")
    assert undo.get_attribute("aria-disabled") == "true"
    by_mouse(page, draw.EXAMPLES[4])  # two strokes
    assert wait_for_answer(page) == 4
    both = strokes_in(page)
    undo.click()
    assert 0 < strokes_in(page) < 0.8 * both
    assert page.locator(".draw-read").count() == 1
    undo.click()
    assert strokes_in(page) < 0.03
    assert "Nothing is drawn yet." in page.locator(".draw-answer").inner_text()
    assert page.locator(".draw-layers").is_hidden()
    undo.dispatch_event("click")  # nothing to take back: nothing happens
    by_mouse(page, draw.EXAMPLES[7])
    assert wait_for_answer(page) == 7
    assert clear.get_attribute("aria-disabled") == "false"
    clear.click()
    assert live(page) == "Nothing is drawn yet."
    assert strokes_in(page) < 0.03
    assert visit.complaints == []


def test_by_keyboard(visit):
    """Tab to the canvas, up, pen down, down, lift: a 1. Backspace takes it back."""
    page = visit.page
    page.locator(".draw-canvas").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    focused = "document.activeElement.className"
    assert page.evaluate(focused) == "draw-canvas"
    page.wait_for_function("window.cnnbookNetwork")
    top = page.evaluate("scrollY")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Space")
    assert live(page).startswith("The pen is down, 50% from the left and 26%")
    for _ in range(13):
        page.keyboard.press("ArrowDown")
    assert "The pen is down" in live(page)
    page.keyboard.press("Space")
    assert wait_for_answer(page) == 1
    assert "a 1" in live(page)
    assert page.evaluate("scrollY") == top  # the page stayed
    page.keyboard.press("Backspace")
    assert live(page) == "Nothing is drawn yet."
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Tab")  # leaving lifts the pen
    assert page.evaluate("document.activeElement.textContent") == "Undo"
    wait_for_answer(page)
    assert visit.complaints == []


def test_focus_is_visible(visit):
    page = visit.page
    page.locator(".draw-canvas").focus()
    page.keyboard.press("Shift+Tab")
    for _ in range(4):
        page.keyboard.press("Tab")
        name, width = page.evaluate(
            """() => [document.activeElement.className ||
                document.activeElement.textContent,
                parseFloat(getComputedStyle(document.activeElement).outlineWidth)]"""
        )
        assert width >= 2, name


def touches(session, kind, *points):
    named = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": named})


def test_by_finger_and_a_second_one(browser):
    """A finger draws and doesn't scroll; a second one, put down meanwhile, nothing."""
    with Visit(browser, PAGE, width=390) as visit:
        page = visit.page
        ready(page)
        page.evaluate(
            """() => { window.kinds = new Set();
                document.querySelector(".draw-canvas").addEventListener(
                    "pointerdown", event => kinds.add(event.pointerType)); }"""
        )
        session = visit.context.new_cdp_session(page)
        session.send(
            "Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5}
        )
        top = page.evaluate("scrollY")
        line = places(page, ONE[0])
        other = places(page, [[0.9, 0.1], [0.8, 0.9]])
        touches(session, "touchStart", line[0])
        touches(session, "touchMove", line[1])
        touches(session, "touchStart", line[1], other[0])
        touches(session, "touchMove", line[2], other[1])
        wait_for_answer(page)
        page.locator(".draw-canvas").dispatch_event("pointerup", {"pointerId": 99})
        assert live(page) == ""  # another one was lifted, the first still draws
        touches(session, "touchMove", line[3], other[1])
        touches(session, "touchEnd")
        assert "a 1" in live(page)
        assert page.evaluate("[...kinds]") == ["touch"]
        assert wait_for_answer(page) == 1
        assert page.evaluate("scrollY") == top
        assert strokes_in(page) < 0.1  # one line
        page.get_by_role("button", name="Undo").click()
        assert strokes_in(page) < 0.03  # it was one stroke
        line = places(page, ONE[0])  # the button may have been out of sight
        touches(session, "touchStart", line[0])
        touches(session, "touchMove", line[2])
        touches(session, "touchCancel")
        assert wait_for_answer(page) == 1
        assert visit.complaints == []


def test_by_pen(visit):
    page = visit.page
    page.evaluate(
        """() => { window.kinds = new Set();
            document.querySelector(".draw-canvas").addEventListener(
                "pointermove", event => kinds.add(event.pointerType)); }"""
    )
    session = visit.context.new_cdp_session(page)

    def pen(kind, place, buttons):
        session.send(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": place[0],
                "y": place[1],
                "button": "left" if buttons or kind == "mouseReleased" else "none",
                "buttons": buttons,
                "clickCount": 1,
                "pointerType": "pen",
            },
        )

    first, *rest = places(page, draw.EXAMPLES[7][0])
    pen("mouseMoved", first, 0)
    pen("mousePressed", first, 1)
    for place in rest:
        pen("mouseMoved", place, 1)
    pen("mouseReleased", rest[-1], 0)
    assert wait_for_answer(page) == 7
    assert "pen" in page.evaluate("[...kinds]")
    assert visit.complaints == []


def test_other_buttons_and_moves_without_a_button_draw_nothing(visit):
    page = visit.page
    first, *rest = places(page, ONE[0])
    page.mouse.move(*first)
    for place in rest:
        page.mouse.move(*place)
    page.mouse.down(button="middle")
    page.mouse.move(*first)
    page.mouse.up(button="middle")
    assert strokes_in(page) < 0.03
    assert page.locator(".draw-answer").inner_text() == "Nothing is drawn yet."


def test_dots_lines_and_strokes_that_leave_the_canvas(visit):
    page = visit.page
    by_mouse(page, [[[0.3, 0.3]]])
    page.wait_for_function("window.cnnbookNetwork")
    page.wait_for_function(
        "document.querySelector('.draw-live').textContent.includes('a dot')"
    )
    assert page.locator(".draw-read").count() == 0
    page.get_by_role("button", name="Clear").click()
    by_mouse(page, [[[0.2, 0.5], [0.8, 0.5]]])
    wait_for_answer(page)
    page.get_by_role("button", name="Clear").click()
    by_mouse(page, [[[0.5, 0.1], [0.5, 0.5], [0.5, 1.6]]])  # let go outside
    assert wait_for_answer(page) == 1
    seen = page.eval_on_selector(
        ".draw-seen",
        """canvas => [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data]
            .filter((_, k) => k % 4 === 0)""",
    )
    line = np.array(seen).reshape(28, 28) > 127
    assert line.any(axis=1).sum() in (19, 20, 21) and line.any(axis=0).sum() <= 4
    text = page.locator(".draw-frame").inner_text()
    assert "NaN" not in text and "undefined" not in text and "Infinity" not in text
    assert visit.complaints == []


def test_another_width_keeps_the_drawing(visit):
    page = visit.page
    by_mouse(page, draw.EXAMPLES[3])
    assert wait_for_answer(page) == 3
    before = strokes_in(page)
    page.set_viewport_size({"width": 320, "height": 700})
    page.wait_for_function(
        """() => { const c = document.querySelector('.draw-canvas');
            return Math.abs(c.width - c.clientWidth * devicePixelRatio) <= 1; }"""
    )
    assert answer(page) == 3
    assert strokes_in(page) == pytest.approx(before, rel=0.1)


# -- An example, and the file


def test_examples_are_shown_and_read(browser):
    context = browser.new_context(offline=True, reduced_motion="reduce")
    page = context.new_page()
    page.goto((SITE / PAGE).as_uri())
    page.wait_for_selector("div.draw.running")
    read = []
    for _ in range(10):
        page.get_by_role("button", name="Show me one").click()
        read.append(wait_for_answer(page))
        assert str(read[-1]) in live(page)
    assert np.sum(np.array(read) == np.arange(10)) >= 9, read
    context.close()


def test_example_is_drawn_bit_by_bit_and_can_be_cut_short(visit):
    page = visit.page
    page.get_by_role("button", name="Show me one").click()  # a 0
    page.wait_for_function("document.querySelector('.draw-live').textContent !== ''")
    page.wait_for_function(
        "document.querySelector('.draw-live').textContent.includes('a 0')"
    )
    page.get_by_role("button", name="Show me one").click()
    by_mouse(page, [[[0.1, 0.1], [0.12, 0.2]]])  # in the middle of it
    wait_for_answer(page)
    page.get_by_role("button", name="Undo").click()
    assert wait_for_answer(page) == 1  # the example was finished first
    page.get_by_role("button", name="Undo").click()
    assert strokes_in(page) < 0.03
    assert visit.complaints == []


def test_network_comes_at_the_first_touch_and_nothing_from_elsewhere(visit):
    page = visit.page
    page.wait_for_timeout(500)
    assert not [url for url in visit.requests if "network.js" in url]
    by_mouse(page, ONE)
    wait_for_answer(page)
    by_mouse(page, ONE)
    page.get_by_role("button", name="Show me one").click()
    found = [url for url in visit.requests if "network.js" in url]
    assert found == [(SITE / "draw" / "network.js").as_uri()]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in visit.requests)
    assert visit.complaints == []


def test_a_page_in_a_folder_of_a_server_finds_the_network(browser, server):
    with Visit(browser, "digits.html", server=server) as visit:
        ready(visit.page)
        by_mouse(visit.page, ONE)
        assert wait_for_answer(visit.page) == 1
        assert f"{server}draw/network.js" in visit.requests
        assert visit.complaints == []


def test_a_missing_network_is_told_and_tried_again(browser, server):
    with Visit(browser, PAGE, server=server) as visit:
        page = visit.page
        ready(page)
        missing = re.compile(r"draw/network\.js")
        page.route(missing, lambda route: route.abort())
        by_mouse(page, ONE)
        error = page.locator(".draw-error")
        error.wait_for(state="visible")
        assert "could not be loaded" in error.inner_text()
        assert "draw/network.js" in error.inner_text()
        assert error.get_attribute("role") == "alert"
        assert "NaN" not in page.locator(".draw-frame").inner_text()
        page.unroute(missing)
        by_mouse(page, [[[0.5, 0.8], [0.5, 0.85]]])
        assert wait_for_answer(page) == 1
        assert error.is_hidden()


def test_loading_is_told(browser, server):
    with Visit(browser, PAGE, server=server) as visit:
        page, kept = visit.page, []
        ready(page)
        page.route(re.compile(r"draw/network\.js"), lambda route: kept.append(route))
        by_mouse(page, ONE)
        page.wait_for_function(
            "document.querySelector('.draw-answer').textContent.includes('Loading')"
        )
        kept[0].continue_()
        assert wait_for_answer(page) == 1
        page.wait_for_function(
            "document.querySelector('.draw-live').textContent.includes('a 1')"
        )


# -- For all readers


def luminance(color):
    channels = [float(c) / 255 for c in re.findall(r"[\d.]+", color)[:3]]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    a, b = sorted((luminance(one), luminance(other)))
    return (b + 0.05) / (a + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_in_both_themes(browser, theme):
    """Letters against their ground: 4.5 to 1; bars and edges: 3 to 1."""
    with Visit(browser, PAGE, theme) as visit:
        page = visit.page
        ready(page)
        by_mouse(page, draw.EXAMPLES[3])
        wait_for_answer(page)
        pairs = page.evaluate(
            """() => {
            const ground = e => {
                for (; e; e = e.parentElement) {
                    const c = getComputedStyle(e).backgroundColor;
                    if (!/, 0\\)$|transparent/.test(c)) return c;
                }
                return "rgb(255, 255, 255)";
            };
            const all = document.querySelectorAll(
                ".draw-frame :is(p, strong, button, .draw-digit, .draw-number)");
            const color = e => getComputedStyle(e).color;
            const letters = [...all].filter(e => e.offsetParent && e.textContent).map(
                e => [e.className || e.tagName, color(e), ground(e), 4.5]);
            const bars = [...document.querySelectorAll(".draw-track > span")].map(
                e => ["bar", getComputedStyle(e).backgroundColor,
                      ground(e.parentElement.parentElement), 3]);
            const canvas = document.querySelector(".draw-canvas");
            const edge = ["edge", getComputedStyle(canvas).borderTopColor,
                          ground(canvas.parentElement), 3];
            return [...letters, ...bars, edge];
        }"""
        )
        assert len(pairs) > 60
        for name, ink, paper, least in pairs:
            assert contrast(ink, paper) >= least, (name, ink, paper)
        assert visit.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_barriers_are_found(browser, theme):
    from axe_playwright_python.sync_playwright import Axe

    with Visit(browser, PAGE, theme) as visit:
        ready(visit.page)
        by_mouse(visit.page, draw.EXAMPLES[3])
        wait_for_answer(visit.page)
        options = {"resultTypes": ["violations"]}
        found = Axe().run(visit.page, context="div.draw", options=options).response
        told = [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]]
        assert told == []


@pytest.mark.parametrize("width", [320, 390])
def test_targets_and_width_on_a_telephone(browser, width):
    """No sideways scroll; targets of 24 pixels; room beside the canvas to scroll."""
    with Visit(browser, PAGE, width=width) as visit:
        page = visit.page
        ready(page)
        by_mouse(page, draw.EXAMPLES[3])
        wait_for_answer(page)
        extra = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert extra <= 0
        frame = page.locator(".draw-frame")
        assert frame.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
        boxes = page.eval_on_selector_all(
            ".draw-frame :is(button, .draw-canvas)",
            """all => all.map(e => {
                const r = e.getBoundingClientRect(); return [r.width, r.height]; })""",
        )
        assert len(boxes) == 4 and np.min(boxes) >= 24
        edge = page.locator(".draw-canvas").bounding_box()
        assert edge["width"] > 200 and width - edge["width"] > 60
        only = page.eval_on_selector_all(
            ".draw-frame, .draw-frame *",
            "all => all.filter(e => getComputedStyle(e).touchAction === 'none').length",
        )
        assert only == 1


def test_every_control_and_picture_has_a_name(visit):
    page = visit.page
    by_mouse(page, draw.EXAMPLES[3])
    wait_for_answer(page)
    snapshot = page.locator(".draw-frame").aria_snapshot()
    named = re.findall(r"- '?(button|img|application)(.*)", snapshot)
    assert len(named) >= 9
    assert all('"' in rest for _, rest in named), named
    help_id = page.locator(".draw-canvas").get_attribute("aria-describedby")
    words = page.locator(f"#{help_id}").inner_text()
    assert "arrow keys" in words and "space bar" in words


def test_without_scripts_there_is_a_picture(browser):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((SITE / PAGE).as_uri())
    still = page.locator("div.draw .draw-still")
    assert still.is_visible()
    assert draw.STILL in " ".join(still.inner_text().split())
    image = still.locator("img")
    assert image.is_visible() and image.bounding_box()["width"] > 200
    assert "digits 0 to 9" in image.get_attribute("alt")
    assert page.locator(".draw-frame").count() == 0
    context.close()


def test_only_pages_with_a_canvas_load_it(pages):
    for name, page in pages.items():
        loads = [s for s in page.select("script[src]") if "/draw." in s["src"]]
        styles = [s for s in page.select("link[href]") if "/draw." in s["href"]]
        has = 1 if page.select("div.draw") else 0
        assert len(loads) == len([s for s in styles if "css" in s["href"]]) == has, name
        assert not [s for s in page.select("script[src]") if "network.js" in s["src"]]
    for name in (PAGE, "digits.html"):
        assert pages[name].select("div.draw")
