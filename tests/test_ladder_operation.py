"""Wrong code of many hands: each mistake gets its message, and no other.

Some of it is written out. The rest is right code, in several styles, with a slip: a
line or two changed.
"""

import numpy as np
import pytest
from wrong_code import WrongCode

from cnnbook import ladder_operation
from cnnbook.checking import examine
from cnnbook.exercises import find

wrong = WrongCode()
RIGHT = []  # (exercise, solution)


def code(source):
    """Return the function that some source defines."""
    space = {"np": np}
    exec(source, space)
    return space[source.split("def ", 1)[1].split("(")[0]]


class Style:
    """Right code for an exercise, to be spoilt."""

    def __init__(self, exercise, source):
        self.exercise, self.source = exercise, source
        RIGHT.append((exercise, code(source)))

    def __call__(self, mistake, *changes):
        """Change some lines, (old, new, old, new, ...): that makes a mistake."""
        source = self.source
        for old, new in zip(changes[::2], changes[1::2], strict=True):
            assert old in source, old
            source = source.replace(old, new)
        wrong(self.exercise, mistake)(code(source))


# --- scale_pixels

once = Style(
    "scale_pixels",
    """
def once(pixels):
    images = pixels.astype(np.float32) / 255
    return images[:, None]
""",
)
once("not scaled", " / 255", "")
once("256 for 255", "255", "256")
once("integer division", "/", "//")
once("divided by the maximum", "255", "pixels.max()")
once("no channel axis", "[:, None]", "")
once("channel axis elsewhere", "[:, None]", "[..., None]")
once("channel axis elsewhere", "[:, None]", "[None]")
once("height and width swapped", "[:, None]", "[:, None].transpose(0, 1, 3, 2)")
once("wrong dtype", "np.float32", "float")
once("nothing", "return ", "")
once("error", "[:, None]", "[:, None, 1, 1, 1]")

each = Style(
    "scale_pixels",
    """
def each(pixels):
    n, h, w = pixels.shape
    images = np.zeros((n, 1, h, w), dtype=np.float32)
    for k in range(n):
        for i in range(h):
            for j in range(w):
                images[k, 0, i, j] = pixels[k, i, j] / 255
    return images
""",
)
each("not scaled", " / 255", "")
each("256 for 255", "/ 255", "* 2.0**-8")
each("integer division", "dtype=np.float32", "dtype=np.uint8")
each("integer division", "n, 1, h, w), dtype=np.float32", "n, 1, h, w), dtype=int")
each("divided by the maximum", "255", "pixels[k].max()")
each("no channel axis", "n, 1, h, w", "n, h, w", "k, 0, i, j", "k, i, j")
each("channel axis elsewhere", "n, 1, h, w", "n, h, w, 1", "k, 0, i, j", "k, i, j, 0")
each("channel axis elsewhere", "n, 1, h, w", "n, h, 1, w", "k, 0, i, j", "k, i, 0, j")
each("height and width swapped", "n, 1, h, w", "n, 1, w, h", "0, i, j", "0, j, i")
each("wrong dtype", ", dtype=np.float32", "")
each("error", "n, 1, h, w", "n, h, w")


@wrong("scale_pixels", "no channel axis")
def only_the_numbers(pixels):
    return np.float32(pixels / 255)


@wrong("scale_pixels", "wrong dtype")
def listed(pixels):
    return [[[[v / 255 for v in row] for row in image]] for image in pixels.tolist()]


@wrong("scale_pixels", "changed input")
def in_place(pixels):
    pixels //= 255
    return pixels[:, None].astype(np.float32)


@wrong("scale_pixels", "height and width swapped")
def width_first(pixels):
    n, h, w = pixels.shape
    return (pixels / np.float32(255)).reshape(n, 1, w, h)


@wrong("scale_pixels", "unknown")
def around_zero(pixels):
    return pixels[:, None].astype(np.float32) / 127.5 - 1


@wrong("scale_pixels", "unknown")
def said(pixels):
    return f"{pixels / 255}"


@wrong("scale_pixels", "error")
def divided_in_place(pixels):
    pixels /= 255
    return pixels[:, None]


@wrong("scale_pixels", "error")
def shrunk_in_place(pixels):
    images = pixels[:, None]
    images *= 1 / 255
    return images


def test_dividing_bytes_in_place_is_explained():
    for solution in (divided_in_place, shrunk_in_place):
        message = examine(find("scale_pixels"), solution).message
        assert "/= writes the fractions back" in message
        assert "(in line" in message


# --- output_size

formula = Style(
    "output_size",
    """
def formula(size, kernel_size, stride=1, padding=0, dilation=1):
    span = dilation * (kernel_size - 1) + 1
    return (size + 2 * padding - span) // stride + 1
""",
)
formula("no 1 added", "stride + 1", "stride")
formula("1 inside the division", "span) // stride + 1", "span + 1) // stride")
formula("stride ignored", " // stride", "")
formula("padding counted once", "2 * padding", "padding")
formula("padding ignored", " + 2 * padding", "")
formula("gaps counted", "dilation *", "(dilation + 1) *")
formula("dilated kernel too long", "(kernel_size - 1) + 1", "kernel_size")
formula("dilation ignored", "dilation * (kernel_size - 1) + 1", "kernel_size")
formula("no whole number", "//", "/")
formula("nothing", "return ", "o = ")

counting = Style(
    "output_size",
    """
def counting(size, kernel_size, stride=1, padding=0, dilation=1):
    line = [0] * padding + [1] * size + [0] * padding
    count = 0
    start = 0
    while start + dilation * (kernel_size - 1) < len(line):
        count += 1
        start += stride
    return count
""",
)
counting("no 1 added", "count = 0", "count = -1")
counting("not rounded down", "(kernel_size - 1) <", "(kernel_size - 1) - stride + 1 <")
counting("stride ignored", "+= stride", "+= 1")
counting("padding counted once", "[1] * size + [0] * padding", "[1] * size")
counting("padding ignored", "[0] * padding", "[]")
counting("gaps counted", "dilation *", "(1 + dilation) *")
counting("dilation ignored", "dilation * (kernel_size - 1)", "kernel_size - 1")
counting("dilated kernel too long", "(kernel_size - 1)", "kernel_size - 1")
counting("no whole number", "count = 0", "count = 0.0")
counting("endless", "start += stride", "start + stride")


@wrong("output_size", "not rounded down")
def rounded_up(size, kernel_size, stride=1, padding=0, dilation=1):
    span = dilation * (kernel_size - 1)
    return int(np.ceil((size + 2 * padding - span - 1) / stride)) + 1


@wrong("output_size", "not rounded down")
def to_the_nearest(size, kernel_size, stride=1, padding=0, dilation=1):
    return 1 + round((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride)


@wrong("output_size", "1 inside the division")
def as_for_stride_one(size, kernel_size, stride=1, padding=0, dilation=1):
    stride_one = size + padding + padding - dilation * (kernel_size - 1)
    return int(stride_one / stride)


@wrong("output_size", "no whole number")
def floored(size, kernel_size, stride=1, padding=0, dilation=1):
    room = size + 2 * padding - dilation * (kernel_size - 1) - 1
    return np.floor(room / stride) + 1


@wrong("output_size", "error")
def not_yet_padded(size, kernel_size, stride=1):
    return (size - kernel_size) // stride + 1


# --- parameter_count

product = Style(
    "parameter_count",
    """
def product(in_channels, out_channels, kernel_size):
    kh, kw = kernel_size
    weights = in_channels * kh * kw
    return out_channels * (weights + 1)
""",
)
product("no biases", "(weights + 1)", "weights")
product("one bias", "(weights + 1)", "weights + 1")
product("too many biases", "kh * kw", "(kh * kw + 1)", "(weights + 1)", "weights")
product("biases of the inputs", "(weights + 1)", "weights + in_channels")
product("input channels forgotten", "in_channels * kh", "kh")
product("output channels forgotten", "out_channels * (weights + 1)", "weights + 1")
product("one side of the kernel", "kh * kw", "kh * kh")
product("one side of the kernel", "kh * kw", "kw")
product("error", "kh, kw = kernel_size", "kh, kw, depth = kernel_size")

shapes = Style(
    "parameter_count",
    """
def shapes(in_channels, out_channels, kernel_size):
    weight = np.zeros((out_channels, in_channels, *kernel_size))
    bias = np.zeros(out_channels)
    return weight.size + bias.size
""",
)
shapes("no biases", " + bias.size", "")
shapes("one bias", "np.zeros(out_channels)", "np.zeros(1)")
shapes(
    "too many biases", "np.zeros(out_channels)", "np.zeros((out_channels, in_channels))"
)
shapes("too many biases", "np.zeros(out_channels)", "np.zeros(weight.shape)")
shapes("input channels forgotten", "out_channels, in_channels,", "out_channels,")
shapes(
    "output channels forgotten", "(out_channels, in_", "(in_", "s(out_channels)", "s(1)"
)
shapes("one side of the kernel", "*kernel_size", "kernel_size[0]")
shapes("one side of the kernel", "*kernel_size", "kernel_size[1], kernel_size[1]")
shapes("nothing", "return", "count =")
shapes("unknown", "weight.size + bias.size", "weight.shape + bias.shape")

# --- conv1d


@wrong("conv1d", "flipped kernel")
def true_convolution(x, weight):
    return np.convolve(x, weight, "valid")


@wrong("conv1d", "flipped kernel")
def counting_down(x, weight):
    y = []
    for i in range(len(x) - len(weight) + 1):
        total = 0
        for u in range(len(weight)):
            total += x[i + len(weight) - 1 - u] * weight[u]
        y.append(total)
    return np.array(y)


line = Style(
    "conv1d",
    """
def line(x, weight):
    count = len(x) - len(weight) + 1
    y = np.zeros(count, dtype=weight.dtype)
    for i in range(count):
        for u in range(len(weight)):
            y[i] += x[i + u] * weight[u]
    return y
""",
)
line("flipped kernel", "weight[u]", "weight[-u - 1]")
line("off-by-one size", "len(weight) + 1", "len(weight)")
line("off-by-one size", "np.zeros(count,", "np.zeros(count + 1,")
line("not valid", "np.zeros(count,", "np.zeros(len(x),")
line("mean for sum", "weight[u]", "weight[u] / len(weight)")
line("sum overwritten", "+=", "=")
line("window stands still", "x[i + u]", "x[u]")
line("return in a loop", "    return y", "        return y")
line("return in a loop", "    return y", "            return y")
line("sums cut off", "dtype=weight.dtype", "dtype=int")
line("sum runs on", "for u", "y[i] = y[i - 1]\n        for u")
line("wrong dtype", ", dtype=weight.dtype", "")
line("nothing", "return y", "y")
line("error", "range(count)", "range(len(x))")
line("unwritten", "count = ", 'raise NotImplementedError("how many?")\n    count = ')

append = Style(
    "conv1d",
    """
def append(x, weight):
    y = []
    i = 0
    while i + len(weight) <= len(x):
        total = 0
        for a, b in zip(x[i : i + len(weight)], weight):
            total = total + a * b
        y.append(total)
        i += 1
    return np.array(y)
""",
)
append("flipped kernel", "], weight)", "], reversed(weight))")
append("off-by-one size", "<=", "<")
append("off-by-one size", "<= len(x)", "<= len(x) + 1")
append("not valid", "i + len(weight) <= len(x)", "i < len(x)")
append("mean for sum", "append(total)", "append(total / len(weight))")
append("sum overwritten", "total + a * b", "a * b")
append("sum runs on", "        total = 0\n", "", "i = 0\n", "i = 0\n    total = 0\n")
append("window stands still", "x[i : i + len(weight)]", "x[: len(weight)]")
append("return in a loop", "i += 1", "return np.array(y)")
append("sums cut off", "total + a * b", "total + int(a * b)")
append("integer output", "np.array(y)", "np.array(y, dtype=int)")
append("endless", "        i += 1\n", "")
append("wrong dtype", "np.array(y)", "[float(v) for v in y]")
append("products not added", "total + a * b", "np.append(total, a * b)")
append(
    "products not added", "total = 0", "total = []", "total + a * b", "[*total, a * b]"
)


line(
    "array in a loop",
    "    for i",
    "    for i",
    "        for u",
    """\
        y = np.zeros(count)
        for u""",
)
append("array in a loop", "total = 0\n", "total = 0\n        y = []\n")


@wrong("conv1d", "not valid")
def as_it_comes(x, weight):
    return np.convolve(x, weight)


@wrong("conv1d", "not valid")
def round_and_round(x, weight):
    return sum(weight[u] * np.roll(x, -u) for u in range(len(weight)))


@wrong("conv1d", "unknown")
def as_often_as_places(x, weight):
    count = len(x) - len(weight) + 1
    pairs = range(min(count, len(weight)))
    return [sum(x[i + u] * weight[u] for u in pairs) for i in range(count)]


@wrong("conv1d", "not valid")
def same_length(x, weight):
    return np.correlate(x, weight, "same")


@wrong("conv1d", "not valid")
def every_touch(x, weight):
    zeros = np.zeros(len(weight) - 1)
    long = np.concatenate([zeros, x, zeros])
    return [long[i : i + len(weight)] @ weight for i in range(len(x) + len(zeros))]


@wrong("conv1d", "integer output")
def like_the_signal(x, weight):
    y = np.zeros_like(x)[len(weight) - 1 :]
    for i in range(len(y)):
        y[i] = x[i : i + len(weight)] @ weight
    return y


@wrong("conv1d", "changed input")
def into_the_signal(x, weight):
    for i in range(len(x) - len(weight) + 1):
        x[i] = np.dot(x[i : i + len(weight)], weight)
    return x[: len(x) - len(weight) + 1]


@wrong("conv1d", "unknown")
def added(x, weight):
    windows = np.lib.stride_tricks.sliding_window_view(x, len(weight))
    return (windows + weight).sum(axis=1)


# --- zero_pad

lay_in = Style(
    "zero_pad",
    """
def lay_in(image, padding):
    h, w = image.shape
    padded = np.zeros((h + 2 * padding, w + 2 * padding), dtype=image.dtype)
    padded[padding : padding + h, padding : padding + w] = image
    return padded
""",
)
lay_in("padding on one side", "padding : padding +", ":")
lay_in("padding on one side", "2 * ", "")
lay_in("padding on one axis", "w + 2 * padding", "w", ", padding : padding + w]", "]")
lay_in("padding on one axis", "h + 2 * padding", "h", "padding : padding + h", ":")
lay_in("padding without zeros", "np.zeros", "np.ones")
lay_in("padding ignored", "return padded", "return image")
lay_in("wrong dtype", ", dtype=image.dtype", "")
lay_in("integer output", "dtype=image.dtype", "dtype=int")
lay_in(
    "error",
    "padding : padding + h, padding : padding + w",
    "padding:-padding, padding:-padding",
)
lay_in("nothing", "    return padded", "")

asking = Style(
    "zero_pad",
    """
def asking(image, padding):
    h, w = image.shape
    rows = []
    for i in range(-padding, h + padding):
        row = []
        for j in range(-padding, w + padding):
            if 0 <= i < h and 0 <= j < w:
                row.append(image[i, j])
            else:
                row.append(0)
        rows.append(row)
    return np.array(rows, dtype=image.dtype)
""",
)
asking("padding wrapped", "0 <= i < h and 0 <= j < w", "i < h and j < w")
asking(
    "padding wrapped", "0 <= i < h and 0 <= j < w", "True", "[i, j]", "[i % h, j % w]"
)
asking("padding on one side", "h + padding", "h", "w + padding", "w")
asking("padding on one side", "range(-padding, ", "range(")
asking("padding on one axis", "range(-padding, w + padding)", "range(w)")
asking("padding ignored", "-padding", "0", "+ padding", "")
asking("wrong dtype", ", dtype=image.dtype", "")


@wrong("zero_pad", "padding without zeros")
def rim_repeated(image, padding):
    rows = np.arange(-padding, image.shape[0] + padding).clip(0, image.shape[0] - 1)
    columns = np.arange(-padding, image.shape[1] + padding).clip(0, image.shape[1] - 1)
    return image[rows][:, columns]


@wrong("zero_pad", "padding without zeros")
def like_a_mirror(image, padding):
    return np.pad(image, padding, mode="symmetric")


@wrong("zero_pad", "padding wrapped")
def like_a_tile(image, padding):
    return np.pad(image, padding, "wrap")


@wrong("zero_pad", "padding doubled")
def as_the_formula_says(image, padding):
    return np.pad(image, 2 * padding)


lay_in(
    "padding doubled",
    "2 * padding",
    "4 * padding",
    "[padding : padding + h, padding : padding + w]",
    "[2 * padding :, 2 * padding :][:h, :w]",
)


@wrong("zero_pad", "padding ignored")
def thrown_away(image, padding):
    np.pad(image, padding)
    return image


@wrong("zero_pad", "changed input")
def emptied(image, padding):
    padded = np.pad(image, padding)
    image *= 0
    return padded


# --- conv2d

loops = Style(
    "conv2d",
    """
def loops(image, kernel, stride=1, padding=0):
    h, w = image.shape
    kh, kw = kernel.shape
    rows = (h + 2 * padding - kh) // stride + 1
    columns = (w + 2 * padding - kw) // stride + 1
    padded = np.zeros((h + 2 * padding, w + 2 * padding), image.dtype)
    padded[padding : padding + h, padding : padding + w] = image
    y = np.zeros((rows, columns), kernel.dtype)
    for i in range(rows):
        for j in range(columns):
            total = 0
            for u in range(kh):
                for v in range(kw):
                    total += padded[i * stride + u, j * stride + v] * kernel[u, v]
            y[i, j] = total
    return y
""",
)
slices = Style(
    "conv2d",
    """
def slices(image, kernel, stride=1, padding=0):
    kh, kw = kernel.shape
    image = np.pad(image, padding)
    rows = []
    for top in range(0, image.shape[0] - kh + 1, stride):
        row = []
        for left in range(0, image.shape[1] - kw + 1, stride):
            window = image[top : top + kh, left : left + kw]
            row.append(np.sum(window * kernel))
        rows.append(row)
    return np.array(rows)
""",
)
shifted = Style(
    "conv2d",
    """
def shifted(image, kernel, stride=1, padding=0):
    image = np.pad(image, ((padding, padding), (padding, padding)))
    down = image.shape[0] - kernel.shape[0] + 1
    right = image.shape[1] - kernel.shape[1] + 1
    y = 0
    for u in range(kernel.shape[0]):
        for v in range(kernel.shape[1]):
            seen = image[u : u + down, v : v + right]
            y = y + kernel[u, v] * seen[::stride, ::stride]
    return y
""",
)
inside = Style(
    "conv2d",
    """
def inside(image, kernel, stride=1, padding=0):
    (h, w), (kh, kw) = image.shape, kernel.shape
    p = padding
    y = np.zeros(((h - kh + 2 * p) // stride + 1, (w - kw + 2 * p) // stride + 1))
    y = y.astype(kernel.dtype)
    for i, j in np.ndindex(*y.shape):
        for u, v in np.ndindex(kh, kw):
            a, b = stride * i + u - p, stride * j + v - p
            if 0 <= a < h and 0 <= b < w:
                y[i, j] += kernel[u, v] * image[a, b]
    return y
""",
)
einsum = Style(
    "conv2d",
    """
def einsum(image, kernel, stride=1, padding=0):
    image = np.pad(image, [(padding, padding), (padding, padding)])
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return np.einsum("ijuv,uv->ij", windows[::stride, ::stride], kernel)
""",
)
loops("flipped kernel", "kernel[u, v]", "kernel[kh - 1 - u, kw - 1 - v]")
slices("flipped kernel", "* kernel", "* np.rot90(kernel, 2)")
inside("flipped kernel", "+ u - p", "+ kh - 1 - u - p", "+ v - p", "+ kw - 1 - v - p")
einsum("flipped kernel", "], kernel)", "], kernel[::-1, ::-1])")

loops("off-by-one size", "stride + 1", "stride")
loops("off-by-one size", "kw) // stride + 1", "kw) // stride")
slices("off-by-one size", "image.shape[0] - kh + 1", "image.shape[0] - kh")
slices("off-by-one size", "kw + 1", "kw", "kh + 1", "kh")
inside("off-by-one size", "// stride + 1", "// stride + 2")
inside(
    "off-by-one size", "h - kh + 2 * p) // stride + 1", "h - kh + 2 * p + 1) // stride"
)
loops(
    "off-by-one size",
    "y = np.zeros((rows, columns)",
    "y = np.zeros((rows + 1, columns + 1)",
)

loops("not valid", "np.zeros((rows, columns)", "np.zeros((h, w)")
slices(
    "not valid", "(image, padding)", "(image, ((kh // 2, kh // 2), (kw // 2, kw // 2)))"
)
inside(
    "not valid",
    "p = padding",
    """image = np.pad(image, ((0, kh - 1), (0, kw - 1)))
    h, w = image.shape
    p = padding""",
)

slices("mean for sum", "np.sum", "np.mean")
loops("mean for sum", "= total", "= total / (kh * kw)")
einsum("mean for sum", "], kernel)", "], kernel / kernel.size)")

loops("sum overwritten", "+=", "=")
loops(
    "sum overwritten",
    "            total = 0\n            for u in range(kh):\n",
    "            for u in range(kh):\n                total = 0\n",
)
inside("sum overwritten", "+= kernel", "= kernel")
shifted("sum overwritten", "y = y +", "y =")
slices("sum overwritten", "np.sum(window * kernel)", "sum(window[-1] * kernel[-1])")

loops(
    "sum runs on",
    "            total = 0\n",
    "",
    "    for i in range(rows)",
    "    total = 0\n    for i in range(rows)",
)
loops(
    "sum runs on",
    "            total = 0\n",
    "",
    "        for j in range(columns)",
    "        total = 0\n        for j in range(columns)",
)
slices(
    "sum runs on",
    "np.sum(window * kernel)",
    "np.sum(window * kernel) + (row[-1] if row else 0)",
)

loops("window stands still", "padded[i * stride + u, j * stride + v]", "padded[u, v]")
slices(
    "window stands still",
    "image[top : top + kh, left : left + kw]",
    "image[:kh, left : left + kw]",
)
inside("window stands still", "stride * j + v", "v")

loops("return in a loop", "    return y", "        return y")
loops("return in a loop", "    return y", "            return y")
slices("return in a loop", "    return np", "        return np")
loops(
    "return in a loop",
    "            y[i, j] = total\n    return y",
    "                    y[i, j] = total\n                    return y",
)

inside("sums cut off", "kernel.dtype", "int")
loops(
    "sums cut off",
    "kernel.dtype",
    "int",
    "total += ",
    "total += int(",
    "kernel[u, v]",
    "kernel[u, v])",
)

loops("mirrored kernel", "kernel[u, v]", "kernel[u, -1 - v]")
slices("mirrored kernel", "* kernel", "* kernel[::-1]")
einsum("mirrored kernel", "], kernel)", "], np.fliplr(kernel))")

slices("transposed kernel", "* kernel", "* kernel.T")
loops("transposed kernel", "kernel[u, v]", "kernel[v, u]")
einsum("transposed kernel", "ijuv,uv", "ijuv,vu")
slices(
    "transposed kernel",
    "kh, kw = kernel.shape",
    "kernel = kernel.T; kh, kw = kernel.shape",
)

loops("transposed output", "return y", "return y.T")
slices("transposed output", "np.array(rows)", "np.array(rows).swapaxes(0, 1)")
einsum("transposed output", "->ij", "->ji")

slices("matrix product", "window * kernel", "window @ kernel")
slices("matrix product", "np.sum(window * kernel)", "np.dot(window, kernel).sum()")

loops("stride ignored", "i * stride", "i", "j * stride", "j")
slices("stride ignored", "1, stride", "1")
inside("stride ignored", "stride * ", "")
einsum("stride ignored", "[::stride, ::stride]", "")

loops("stride on one axis", "i * stride", "i")
slices("stride on one axis", "kw + 1, stride", "kw + 1")
shifted("stride on one axis", "[::stride, ::stride]", "[::stride]")
einsum("stride on one axis", "[::stride, ", "[:, ")

inside("padding wrapped", "0 <= a < h and 0 <= b < w", "a < h and b < w")
slices("padding wrapped", "(image, padding)", "(image, padding, mode='wrap')")
inside(
    "padding wrapped",
    "if 0 <= a < h and 0 <= b < w",
    "if True",
    "[a, b]",
    "[a % h, b % w]",
)

slices("padding without zeros", "(image, padding)", "(image, padding, 'edge')")
inside(
    "padding without zeros",
    "if 0 <= a < h and 0 <= b < w",
    "if True",
    "[a, b]",
    "[min(max(a, 0), h - 1), min(max(b, 0), w - 1)]",
)
shifted(
    "padding without zeros", "(padding, padding)))", "(padding, padding)), 'reflect')"
)

shifted("padding on one side", "(padding, padding)", "(padding, 0)")
einsum("padding on one side", "(padding, padding)", "(0, padding)")
loops("padding on one side", "2 * padding", "padding")
loops("padding on one side", "padding : padding +", ":")
inside("padding on one side", " - p,", ",", "v - p", "v")
inside("padding on one side", "2 * p", "p")

shifted("padding on one axis", "((padding, padding), (", "((0, 0), (")
einsum("padding on one axis", ", (padding, padding)]", ", (0, 0)]")
inside("padding on one axis", "w - kw + 2 * p", "w - kw", "v - p", "v")

slices("padding ignored", "image = np.pad", "padded = np.pad")
shifted("padding ignored", "(padding, padding)", "(0, 0)")
inside("padding ignored", "p = padding", "p = 0")

inside("size without padding", " + 2 * p", "")
loops(
    "size without padding",
    "h + 2 * padding - kh",
    "h - kh",
    "w + 2 * padding - kw",
    "w - kw",
)

slices("integer output", "np.array(rows)", "np.array(rows).astype(int)")
loops("integer output", "kernel.dtype", "image.dtype")
loops("wrong dtype", ", kernel.dtype", "")
slices("wrong dtype", "np.array(rows)", "rows")
slices("nothing", "return", "result =")
loops("error", "range(rows)", "range(h)")
slices("products not added", "np.sum(window * kernel)", "window * kernel")
slices("products not added", "np.sum(", "sum(")
inside("unknown", "kernel[u, v] *", "kernel[u, v] +")
einsum("unknown", "->ij", "->i")


loops(
    "array in a loop",
    "        for j",
    """\
        y = np.zeros((rows, columns))
        for j""",
)
loops(
    "array in a loop",
    "            total = 0",
    """\
            y = np.zeros((rows, columns))
            total = 0""",
)
slices(
    "array in a loop", "            window", "            row = []\n            window"
)


slices("padding doubled", "(image, padding)", "(image, padding * 2)")
einsum("padding doubled", "(padding, padding)", "(2 * padding, 2 * padding)")
slices("no rows", "        rows.append(row)", "        rows += row")
loops("no rows", "return y", "return y.flatten()")
einsum(
    "no rows", "return np", "y = np", "kernel)\n", "kernel)\n    return y.reshape(-1)\n"
)


@wrong("conv2d", "square assumed")
def one_side(image, kernel, stride=1, padding=0):
    image, k = np.pad(image, padding), len(kernel)
    places = range(0, len(image) - k + 1, stride)
    y = [np.sum(image[i : i + k, j : j + k] * kernel) for i in places for j in places]
    return np.reshape(y, (len(places), len(places)))


@wrong("conv2d", "square assumed")
def width_twice(image, kernel, stride=1, padding=0):
    width = (image.shape[1] + 2 * padding - kernel.shape[1]) // stride + 1
    image = np.pad(image, ((padding, padding + 9), (padding, padding)))
    y = np.zeros((width, width))
    for i, j in np.ndindex(width, width):
        top, left = i * stride, j * stride
        if top + len(kernel) <= len(image) - 9:
            window = image[top : top + len(kernel), left : left + kernel.shape[1]]
            y[i, j] = (window * kernel).sum()
    return y


@wrong("conv2d", "endless")
def sliding_by_hand(image, kernel, stride=1, padding=0):
    y, top = [], 0
    while top + len(kernel) <= len(image):
        y.append(np.convolve(image[top], kernel[0], "valid"))
    return y


@wrong("conv2d", "changed input")
def padding_in_place(image, kernel, stride=1, padding=0):
    image.resize((image.shape[0] + 1, image.shape[1]), refcheck=False)
    return image


@wrong("conv2d", "error")
def without_options(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return (windows * kernel).sum((2, 3))


@wrong("conv2d", "off-by-one size")
class RoundedUp:
    def __new__(cls, image, kernel, stride=1, padding=0):
        (h, w), (kh, kw) = image.shape, kernel.shape
        large = np.pad(image, (padding, padding + stride))
        y = []
        for i in range(0, h + 2 * padding - kh + stride, stride):
            tops = range(0, w + 2 * padding - kw + stride, stride)
            y.append([np.vdot(large[i : i + kh, j : j + kw], kernel) for j in tops])
        return np.array(y)


@wrong("conv2d", "begin taken for index")
def every_second(image, kernel, stride=1, padding=0):
    padded = np.pad(image, padding)
    kh, kw = kernel.shape
    oh = (padded.shape[0] - kh) // stride + 1
    ow = (padded.shape[1] - kw) // stride + 1
    y = np.zeros((oh, ow))
    for i in range(0, oh, stride):
        for j in range(0, ow, stride):
            y[i, j] = np.sum(padded[i : i + kh, j : j + kw] * kernel)
    return y


@wrong("conv2d", "begin taken for index")
def strides_twice(image, kernel, stride=1, padding=0):
    padded = np.pad(image, padding)
    (h, w), (kh, kw) = padded.shape, kernel.shape
    y = np.zeros(((h - kh) // stride + 1, (w - kw) // stride + 1))
    for i in range(0, y.shape[0], stride):
        for j in range(0, y.shape[1], stride):
            for u in range(kh):
                for v in range(kw):
                    y[i, j] += padded[i * stride + u, j * stride + v] * kernel[u, v]
    return y


@wrong("conv2d", "begin taken for index")
def gaps_between(image, kernel, stride=1, padding=0):
    padded = np.pad(image, padding)
    (h, w), (kh, kw) = padded.shape, kernel.shape
    out = np.zeros((h - kh + 1, w - kw + 1))
    for i in range(0, h - kh + 1, stride):
        for j in range(0, w - kw + 1, stride):
            out[i, j] = (padded[i : i + kh, j : j + kw] * kernel).sum()
    return out


@wrong("conv2d", "window's place swapped")
def cut_at_j_i(image, kernel, stride=1, padding=0):
    padded = np.pad(image, padding)
    kh, kw = kernel.shape
    oh = (padded.shape[0] - kh) // stride + 1
    ow = (padded.shape[1] - kw) // stride + 1
    y = np.zeros((oh, ow))
    for i in range(oh):
        for j in range(ow):
            a, b = j * stride, i * stride
            y[i, j] = np.sum(padded[a : a + kh, b : b + kw] * kernel)
    return y


@wrong("conv2d", "window's place swapped")
def cut_at_left_top(image, kernel, stride=1, padding=0):
    padded = np.pad(image, padding)
    (h, w), (kh, kw) = padded.shape, kernel.shape
    rows = []
    for top in range(0, h - kh + 1, stride):
        row = []
        for left in range(0, w - kw + 1, stride):
            row.append((kernel * padded[left : left + kh, top : top + kw]).sum())
        rows.append(row)
    return np.array(rows)


# --- conv2d_channels


@wrong("conv2d_channels", "begin taken for index")
def stacked_every_second(image, weight, bias, stride=1, padding=0):
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    (_, h, w), (filters, _, kh, kw) = padded.shape, weight.shape
    y = np.zeros((filters, (h - kh) // stride + 1, (w - kw) // stride + 1))
    for f in range(filters):
        for i in range(0, y.shape[1], stride):
            for j in range(0, y.shape[2], stride):
                window = padded[:, i : i + kh, j : j + kw]
                y[f, i, j] = np.sum(window * weight[f]) + bias[f]
    return y


@wrong("conv2d_channels", "begin taken for index")
def stacked_gaps(image, weight, bias, stride=1, padding=0):
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    (_, h, w), (filters, _, kh, kw) = padded.shape, weight.shape
    y = np.zeros((filters, h - kh + 1, w - kw + 1))
    for i in range(0, h - kh + 1, stride):
        for j in range(0, w - kw + 1, stride):
            window = padded[:, i : i + kh, j : j + kw]
            y[:, i, j] = np.einsum("cuv,fcuv->f", window, weight) + bias
    return y


@wrong("conv2d_channels", "window's place swapped")
def stacked_at_j_i(image, weight, bias, stride=1, padding=0):
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    (_, h, w), (filters, _, kh, kw) = padded.shape, weight.shape
    y = np.zeros((filters, (h - kh) // stride + 1, (w - kw) // stride + 1))
    for f, i, j in np.ndindex(y.shape):
        window = padded[:, j * stride : j * stride + kh, i * stride : i * stride + kw]
        y[f, i, j] = np.sum(window * weight[f]) + bias[f]
    return y


@wrong("conv2d_channels", "window's place swapped")
def stacked_left_top(image, weight, bias, stride=1, padding=0):
    image = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    kh, kw = weight.shape[2:]
    maps = [
        [
            [
                (kernels * image[:, left : left + kh, top : top + kw]).sum() + b
                for left in range(0, image.shape[2] - kw + 1, stride)
            ]
            for top in range(0, image.shape[1] - kh + 1, stride)
        ]
        for kernels, b in zip(weight, bias, strict=True)
    ]
    return np.array(maps)


nested = Style(
    "conv2d_channels",
    """
def nested(image, weight, bias, stride=1, padding=0):
    c, h, w = image.shape
    filters, _, kh, kw = weight.shape
    padded = np.zeros((c, h + 2 * padding, w + 2 * padding), image.dtype)
    padded[:, padding : padding + h, padding : padding + w] = image
    rows = (h + 2 * padding - kh) // stride + 1
    columns = (w + 2 * padding - kw) // stride + 1
    y = np.zeros((filters, rows, columns), weight.dtype)
    for f in range(filters):
        for i in range(rows):
            for j in range(columns):
                total = 0
                for k in range(c):
                    for u in range(kh):
                        for v in range(kw):
                            pixel = padded[k, i * stride + u, j * stride + v]
                            total += pixel * weight[f, k, u, v]
                y[f, i, j] = total + bias[f]
    return y
""",
)
by_maps = Style(
    "conv2d_channels",
    """
def by_maps(image, weight, bias, stride=1, padding=0):
    def plane(x, kernel):
        x = np.pad(x, padding)
        windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape)
        return (windows[::stride, ::stride] * kernel).sum(axis=(2, 3))

    maps = []
    for kernels, b in zip(weight, bias):
        total = 0
        for channel, kernel in zip(image, kernels):
            total = total + plane(channel, kernel)
        maps.append(total + b)
    return np.array(maps)
""",
)
cubes = Style(
    "conv2d_channels",
    """
def cubes(image, weight, bias, stride=1, padding=0):
    image = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    filters, c, kh, kw = weight.shape
    tops = range(0, image.shape[1] - kh + 1, stride)
    lefts = range(0, image.shape[2] - kw + 1, stride)
    y = np.zeros((filters, len(tops), len(lefts)), weight.dtype)
    for i in range(len(tops)):
        for j in range(len(lefts)):
            top, left = i * stride, j * stride
            window = image[:, top : top + kh, left : left + kw]
            for f in range(filters):
                y[f, i, j] = np.sum(window * weight[f]) + bias[f]
    return y
""",
)
letters = Style(
    "conv2d_channels",
    """
def letters(image, weight, bias, stride=1, padding=0):
    sides = (padding, padding)
    image = np.pad(image, ((0, 0), sides, sides))
    windows = np.lib.stride_tricks.sliding_window_view(
        image, weight.shape[2:], axis=(1, 2)
    )[:, ::stride, ::stride]
    y = np.einsum("cijuv,fcuv->fij", windows, weight)
    return y + bias[:, None, None]
""",
)
letters(
    "channels not added", "->fij", "->fcij", "[:, None, None]", "[:, None, None, None]"
)
by_maps(
    "channels not added",
    "total = total +",
    "total =",
    "        maps.append(total + b)",
    "            maps.append(total + b)",
)
nested(
    "channels not added",
    "(filters, rows",
    "(filters, c, rows",
    "total = 0\n",
    "total = [0] * c\n",
    "total += pixel",
    "total[k] += pixel",
    "y[f, i, j] = total",
    "y[f, :, i, j] = np.array(total)",
)

by_maps("one channel only", "total = total +", "total =")
nested("one channel only", "range(c)", "range(1)")
cubes("one channel only", "window * weight[f]", "window[0] * weight[f, 0]")
nested(
    "one channel only",
    "                for k in range(c):\n",
    "                for k in range(c):\n                    total = 0\n",
)

nested("one kernel for all channels", "weight[f, k, u, v]", "weight[f, 0, u, v]")
cubes("one kernel for all channels", "weight[f])", "weight[f, 0])")
by_maps(
    "one kernel for all channels",
    "plane(channel, kernel)",
    "plane(channel, kernels[0])",
)

cubes("channels reversed", "* weight[f]", "* np.flip(weight[f])")
letters("channels reversed", ", weight)", ", np.flip(weight))")
nested("channels reversed", "weight[f, k, u, v]", "weight[f, c - 1 - k, u, v]")
by_maps("channels reversed", "zip(image,", "zip(image[::-1],")

letters("filters last", "->fij", "->ijf", "bias[:, None, None]", "bias")
nested(
    "filters last",
    "(filters, rows, columns)",
    "(rows, columns, filters)",
    "y[f, i, j]",
    "y[i, j, f]",
)
by_maps("filters last", "np.array(maps)", "np.stack(maps, axis=2)")

letters("filters not apart", "->fij", "->ij", "bias[:, None, None]", "bias.sum()")
by_maps("filters not apart", "np.array(maps)", "sum(maps)")
cubes("filters not apart", "(filters, len", "(len", "y[f, i, j]", "y[i, j]")
by_maps("filters not apart", "np.array(maps)", "maps[0]")

by_maps("products not added", ".sum(axis=(2, 3))", ".sum(axis=3)")
letters(
    "products not added", "->fij", "->fijuv", "None, None]", "None, None, None, None]"
)
letters("bias ignored", " + bias[:, None, None]", "")
cubes("bias ignored", " + bias[f]", "")
by_maps(
    "bias ignored", "maps.append(total + b)", "total + b\n        maps.append(total)"
)

nested(
    "bias too often",
    "weight[f, k, u, v]",
    "weight[f, k, u, v] + bias[f]",
    "total + bias[f]",
    "total",
)
by_maps(
    "bias too often",
    "plane(channel, kernel)",
    "plane(channel, kernel) + b",
    "total + b)",
    "total)",
)
cubes("bias too often", "weight[f]) + bias[f]", "weight[f] + bias[f])")
nested(
    "bias too often",
    "                    for u",
    "                    total += bias[f]\n                    for u",
    "total + bias[f]",
    "total",
)

nested("one bias for all", "bias[f]", "bias[0]")
by_maps("one bias for all", "total + b)", "total + bias[-1])")
letters("one bias for all", "bias[:, None, None]", "bias[0]")

nested("one filter for all", "weight[f, k", "weight[0, k")
by_maps("one filter for all", "zip(image, kernels)", "zip(image, weight[0])")
cubes("one filter for all", "weight[f]", "weight[-1]")
cubes("one filter for all", "weight[f]", "weight[0]", "bias[f]", "bias[0]")

nested(
    "channels padded",
    "padded[:, padding : padding + h, padding : padding + w] = image",
    "padded = np.pad(image, padding)",
)
letters("channels padded", "((0, 0), sides, sides))", "padding)[: len(image)]")

cubes("flipped kernel", "* weight[f]", "* weight[f, :, ::-1, ::-1]")
by_maps("flipped kernel", "* kernel)", "* np.rot90(kernel, 2))")
nested("off-by-one size", "stride + 1", "stride")
cubes("off-by-one size", "kh + 1", "kh", "kw + 1", "kw")
cubes(
    "not valid",
    "image = np.pad",
    """_, _, u, v = weight.shape
    image = np.pad(image, ((0, 0), (0, u - 1), (0, v - 1)))
    image = np.pad""",
)
letters(
    "not valid",
    "sides = (padding, padding)",
    """_, _, u, v = weight.shape
    image = np.pad(image, ((0, 0), (u - 1, u - 1), (v - 1, v - 1)))
    sides = (padding, padding)""",
)
cubes("mean for sum", "np.sum", "np.mean")
by_maps("mean for sum", ".sum(axis", ".mean(axis")
by_maps("mean for sum", "total + b", "total / len(image) + b")
by_maps(
    "sum overwritten",
    "(windows[::stride, ::stride] * kernel).sum(axis=(2, 3))",
    "windows[::stride, ::stride, -1, -1] * kernel[-1, -1]",
)
nested("sum overwritten", "total += ", "total = ")
nested(
    "sum runs on",
    "                total = 0\n",
    "",
    "    for f",
    "    total = 0\n    for f",
)
nested(
    "sum runs on",
    "                total = 0\n",
    "",
    "        for i in",
    "        total = 0\n        for i in",
)
nested("window stands still", "i * stride + u, j * stride + v", "u, v")
cubes(
    "window stands still",
    "top, left = i * stride, j * stride",
    "top, left = 0, j * stride",
)
nested("return in a loop", "    return y", "        return y")
by_maps(
    "return in a loop", "    return np.array(maps)", "        return np.array(maps)"
)
cubes("return in a loop", "    return y", "        return y")
nested(
    "sums cut off",
    "weight.dtype",
    "int",
    "total += ",
    "total += int(",
    "k, u, v]\n",
    "k, u, v])\n",
)
letters(
    "sums cut off",
    'np.einsum("cijuv,fcuv->fij", windows, weight)',
    "(windows[None] * weight[:, :, None, None]).astype(int).sum((1, 4, 5))",
    "y + bias[:, None, None]",
    "(y + bias[:, None, None]).astype(int)",
)
nested("mirrored kernel", "k, u, v]\n", "k, kh - 1 - u, v]\n")
letters("mirrored kernel", ", weight)", ", weight[..., ::-1])")
letters("transposed kernel", "fcuv", "fcvu")
nested("transposed kernel", "k, u, v]\n", "k, v, u]\n")
letters("transposed output", "->fij", "->fji")
nested("transposed output", "return y", "return y.transpose(0, 2, 1)")
cubes("matrix product", "window * weight[f]", "window @ weight[f]")
by_maps("matrix product", "stride] * kernel", "stride] @ kernel")
nested("stride ignored", "i * stride + u, j * stride + v", "i + u, j + v")
letters("stride ignored", "[:, ::stride, ::stride]", "")
nested("stride on one axis", "j * stride", "j")
by_maps("stride on one axis", "[::stride, ::stride]", "[::stride]")
letters("padding wrapped", "sides, sides)", "sides, sides), 'wrap'")
nested(
    "padding wrapped",
    "padded[:, padding : padding + h, padding : padding + w] = image",
    "padded = image",
    "[k, i * stride + u, j * stride + v]",
    "[k, (i * stride + u - padding) % h, (j * stride + v - padding) % w]",
)
letters("padding without zeros", "sides, sides)", "sides, sides), 'edge'")
by_maps("padding without zeros", "padding)\n", "padding, 'reflect')\n")
letters("padding on one side", "(padding, padding)", "(padding, 0)")
nested("padding on one side", "2 * padding", "padding")
letters("padding on one axis", "sides, sides", "sides, (0, 0)")
cubes("padding on one axis", "((0, 0), (padding, padding),", "((0, 0), (0, 0),")
letters("padding ignored", "image = np.pad", "padded = np.pad")
by_maps("padding ignored", "x = np.pad(x, padding)", "")
nested(
    "size without padding",
    "(h + 2 * padding - kh)",
    "(h - kh)",
    "(w + 2 * padding - kw)",
    "(w - kw)",
)
cubes(
    "size without padding",
    "image = np.pad",
    "(_, h, w), (kh, kw) = image.shape, weight.shape[2:]\n    image = np.pad",
    "range(0, image.shape[1] ",
    "range(0, h ",
    "range(0, image.shape[2] ",
    "range(0, w ",
)
nested("integer output", "weight.dtype", "image.dtype")
nested("wrong dtype", ", weight.dtype", "")
letters(
    "wrong dtype",
    "return y + bias[:, None, None]",
    "return (y + bias[:, None, None]).tolist()",
)
letters("nothing", "return y", "y = y")
letters("error", "bias[:, None, None]", "bias")
cubes("filters not apart", "window * weight[f]", "window * weight")
cubes("error", "np.sum(window * weight[f])", "sum(window * weight[f])")
letters("changed input", "    y =", "    bias += 1\n    y =")
nested("unknown", "weight[f, k, u, v]", "weight[f, k, u, v] ** 2")

nested(
    "array in a loop",
    "        for i",
    """\
        y = np.zeros((filters, rows, columns))
        for i""",
)
by_maps("array in a loop", "        total = 0", "        maps = []\n        total = 0")

by_maps("padding doubled", "np.pad(x, padding)", "np.pad(x, padding + padding)")
letters("padding doubled", "(padding, padding)", "(2 * padding, 2 * padding)")
nested("no rows", "return y", "return y.reshape(filters, rows * columns)")
by_maps("no rows", "np.array(maps)", "np.array(maps).ravel()")
cubes("square assumed", "len(lefts)", "len(tops)")
letters("square assumed", "    return", "    y = y[:, :, : y.shape[1]]\n    return")
cubes(
    "one kernel for all channels",
    "window * weight[f]",
    "window.sum(axis=0) * weight[f].sum(axis=0)",
)

# --- max_pool2d and avg_pool2d

POOLS = {
    "max_pool2d": ("max", "max(values)"),
    "avg_pool2d": ("mean", "sum(values) / len(values)"),
}
pools = {}
for exercise, (best, of_values) in POOLS.items():
    pools[exercise] = [
        Style(
            exercise,
            f"""
def windowed(x, kernel_size, stride):
    c, h, w = x.shape
    rows = (h - kernel_size) // stride + 1
    columns = (w - kernel_size) // stride + 1
    y = np.zeros((c, rows, columns), x.dtype if x.dtype == "float32" else float)
    for k in range(c):
        for i in range(rows):
            for j in range(columns):
                top, left = i * stride, j * stride
                window = x[k, top : top + kernel_size, left : left + kernel_size]
                y[k, i, j] = window.{best}()
    return y
""",
        ),
        Style(
            exercise,
            f"""
def listed(x, kernel_size, stride):
    y = []
    for channel in x:
        rows = []
        for top in range(0, len(channel) - kernel_size + 1, stride):
            row = []
            for left in range(0, len(channel[0]) - kernel_size + 1, stride):
                values = []
                for u in range(kernel_size):
                    for v in range(kernel_size):
                        values.append(channel[top + u, left + v].item())
                row.append({of_values})
            rows.append(row)
        y.append(rows)
    return np.array(y, x.dtype if x.dtype == "float32" else float)
""",
        ),
        Style(
            exercise,
            f"""
def viewed(x, kernel_size, stride):
    views = np.lib.stride_tricks.sliding_window_view(
        x, (kernel_size, kernel_size), axis=(1, 2)
    )
    return views[:, ::stride, ::stride].{best}(axis=(3, 4))
""",
        ),
    ]
    windowed, listed_pool, viewed = pools[exercise]
    windowed(
        "window's size",
        "top + kernel_size, left",
        "top + kernel_size - 1, left",
        "left + kernel_size]",
        "left + kernel_size - 1]",
    )
    windowed(
        "window's size",
        "top + kernel_size, left",
        "top + kernel_size + 1, left",
        "left + kernel_size]",
        "left + kernel_size + 1]",
    )
    viewed("window's size", "(kernel_size, kernel_size)", "(kernel_size - 1,) * 2")
    viewed("window's size", "(kernel_size, kernel_size)", "(kernel_size + 1,) * 2")
    windowed(
        "stride is the window",
        "i * stride, j * stride",
        "i * kernel_size, j * kernel_size",
    )
    windowed("kept in float32", 'x.dtype if x.dtype == "float32" else float', '"f4"')
    listed_pool("kept in float32", 'x.dtype if x.dtype == "float32" else float', '"f"')
    viewed("channels mixed", "axis=(3, 4)", "axis=(0, 3, 4)")
    windowed("channels mixed", "x[k, top", "x[:, top")
    windowed("channels mixed", "(c, rows", "(rows", "y[k,", "y[", "x[k,", "x[:,")
    windowed("stride ignored", "i * stride, j * stride", "i, j")
    listed_pool("stride ignored", "1, stride", "1")
    viewed("stride ignored", "[:, ::stride, ::stride]", "")
    windowed("stride on one axis", "i * stride, j * stride", "i * stride, j")
    viewed("stride on one axis", "[:, ::stride, ::stride]", "[:, ::stride]")
    listed_pool(
        "stride on one axis",
        "- kernel_size + 1, stride):\n            row",
        "- kernel_size + 1):\n            row",
    )
    listed_pool("stride is the window", "1, stride", "1, kernel_size")
    viewed("stride is the window", "::stride", "::kernel_size")
    windowed("stride is the window", "    c, h", "    stride = kernel_size\n    c, h")
    windowed(
        "windows over the edge",
        "(h - kernel_size) // stride + 1",
        "-(-h // stride)",
        "(w - kernel_size) // stride + 1",
        "-(-w // stride)",
    )
    windowed(
        "windows over the edge",
        "(h - kernel_size) // stride + 1",
        "h // stride",
        "(w - kernel_size) // stride + 1",
        "w // stride",
    )
    listed_pool(
        "windows over the edge",
        " - kernel_size + 1, stride",
        ", stride",
        "values.append",
        "if top + u < len(channel) and left + v < len(channel[0]): values.append",
    )
    windowed("off-by-one size", "stride + 1", "stride")
    listed_pool("off-by-one size", "kernel_size + 1", "kernel_size")
    windowed(
        "off-by-one size",
        "x.dtype if",
        "x.dtype if",
        "(c, rows, columns)",
        "(c, rows + 1, columns + 1)",
    )
    windowed("return in a loop", "    return y", "        return y")
    windowed("return in a loop", "    return y", "            return y")
    listed_pool("return in a loop", "    return np", "        return np")
    listed_pool(
        "return in a loop",
        "        y.append(rows)",
        "            y.append(rows)\n            return np.array(y)",
    )
    windowed(
        "array in a loop",
        "            for j",
        """\
            y = np.zeros((c, rows, columns))
            for j""",
    )
    listed_pool(
        "array in a loop",
        "                values =",
        """\
                row = []
                values =""",
    )
    listed_pool("array in a loop", "        rows = []", "        rows, y = [], []")
    viewed("one axis only", "axis=(3, 4)", "axis=3")
    viewed("one axis only", "axis=(3, 4)", "axis=-1")
    listed_pool("no rows", "            rows.append(row)", "            rows += row")
    windowed("no rows", "return y", "return y.flatten()")
    viewed("no rows", "axis=(3, 4))", "axis=(3, 4)).reshape(len(x), -1)")
    windowed("square assumed", "w - kernel_size", "h - kernel_size")
    viewed(
        "square assumed",
        ":, ::stride, ::stride",
        ":, ::stride, : x.shape[1] - kernel_size + 1 : stride",
    )
    viewed("nothing", "return", "y =")
    windowed("wrong dtype", ', x.dtype if x.dtype == "float32" else float', "")
    listed_pool("wrong dtype", "return np.array(y,", "return y  # (")
    windowed("error", "range(columns)", "range(w)")
    listed_pool("error", " - kernel_size + 1, stride", ", stride")
    windowed("changed input", "    return y", "    x[:] = 0\n    return y")
    windowed("unknown", f"window.{best}()", "window[0, 0]")

windowed, listed_pool, viewed = pools["max_pool2d"]
windowed("mean for maximum", "window.max", "window.mean")
listed_pool("mean for maximum", "max(values)", "sum(values) / len(values)")
viewed("smallest number", ".max(", ".min(")
listed_pool("smallest number", "max(values)", "sorted(values)[0]")
listed_pool("starts from zero", "values = []", "values = [0]")
viewed("starts from zero", "return ", "return np.maximum(0, ", "4))", "4)))")
windowed(
    "starts from zero",
    "y[k, i, j] = window.max()",
    "for v in window.flat: y[k, i, j] = max(y[k, i, j], v)",
)
windowed("largest by size", "window.max()", "np.abs(window).max()")
listed_pool("largest by size", "max(values)", "max(values, key=abs)")

windowed, listed_pool, viewed = pools["avg_pool2d"]
windowed("maximum for mean", "window.mean", "window.max")
listed_pool("maximum for mean", "sum(values) / len(values)", "sorted(values)[-1]")
viewed("sum for mean", ".mean(", ".sum(")
listed_pool("sum for mean", " / len(values)", "")
windowed("wrong divisor", "window.mean()", "window.sum() / kernel_size")
windowed("wrong divisor", "window.mean()", "window.sum() / stride**2")
viewed("wrong divisor", ".mean(axis=(3, 4))", ".sum(axis=(3, 4)) / x[0].size")
listed_pool("rounded down", ") / len", ") // len")
viewed("rounded down", ".mean(axis=(3, 4))", ".sum(axis=(3, 4)) // kernel_size**2")
windowed(
    "sums cut off",
    'x.dtype if x.dtype == "float32" else float',
    "int",
    "y[k, i, j] = window.mean()",
    "for v in window.flat: y[k, i, j] += v",
)
listed_pool(
    "sums cut off",
    "values.append(channel[top + u, left + v].item())",
    "values.append(int(channel[top + u, left + v]))",
    "return np.array(y,",
    "return np.array(y, int)#",
)
windowed("integer output", 'x.dtype if x.dtype == "float32" else float', "x.dtype")
listed_pool("integer output", 'x.dtype if x.dtype == "float32" else float', "int")


@pytest.mark.parametrize(("name", "solution"), RIGHT)
def test_right_code_is_right(name, solution):
    for seed in range(3):
        verdict = examine(find(name), solution, seed)
        assert verdict.right, verdict.message


@wrong("parameter_count", "biases of the inputs")
def a_bias_for_each_input(in_channels, out_channels, kernel_size):
    kh, kw = kernel_size
    return in_channels * out_channels * kh * kw + in_channels


@wrong("parameter_count", "biases of the inputs")
def inputs_with_a_bias(in_channels, out_channels, kernel_size):
    of_one_input = out_channels * kernel_size[0] * kernel_size[1] + 1
    return sum(of_one_input for _ in range(in_channels))


@wrong("avg_pool2d", "overflow")
def bytes_in_a_loop(x, kernel_size, stride):
    c, h, w = x.shape
    rows, columns = (h - kernel_size) // stride + 1, (w - kernel_size) // stride + 1
    y = np.zeros((c, rows, columns), np.result_type(x, np.float32))
    for place in np.ndindex(c, rows, columns):
        total = x.dtype.type(0)
        for u, v in np.ndindex(kernel_size, kernel_size):
            total += x[place[0], place[1] * stride + u, place[2] * stride + v]
        y[place] = total / kernel_size**2
    return y


@wrong("avg_pool2d", "overflow")
def python_sum_of_bytes(x, kernel_size, stride):
    views = np.lib.stride_tricks.sliding_window_view(x, (kernel_size,) * 2, (1, 2))
    views = views[:, ::stride, ::stride].reshape(len(x), -1, kernel_size**2)
    total = sum(views[..., k] for k in range(1, kernel_size**2)) + views[..., 0]
    rows = (x.shape[1] - kernel_size) // stride + 1
    mean = total.reshape(len(x), rows, -1) / np.float32(kernel_size**2)
    return mean if x.dtype == np.float32 else total.reshape(mean.shape) / kernel_size**2


@pytest.mark.parametrize(("name", "mistake", "solution"), wrong.cases())
def test_mistake_gets_its_message(name, mistake, solution):
    verdict = examine(find(name), solution)
    assert verdict.mistake == mistake, verdict.message
    told = [m.says for m in find(name).mistakes if m.name == mistake]
    assert all(says in verdict.message for says in told)


def test_every_mistake_is_made_in_two_ways():
    assert wrong.rarely_made(ladder_operation) == []
