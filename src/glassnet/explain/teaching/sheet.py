"""The sheet: one convolution and one pooling on paper, with the numbers of the user's own picture."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from glassnet.explain.figures import style
from glassnet.explain.teaching.numbers import NEXT, WINDOW, cells, grey, outline, place, plain, say, signed
from glassnet.explain.teaching.pictures import title
from glassnet.explain.teaching.steps import POOL, Steps

WIDE = 11.2  # inches
CELL = 0.42  # inches; a number
LEFT = 0.3


def draw_sheet(found: Steps, name: str) -> Figure:
    """Return the sheet for the photo called `name`."""
    filtered = found.filtered
    side = filtered.kernel.side
    around = CELL * found.surroundings.shape[0]
    picture = 3.4 * filtered.picture.shape[0] / filtered.picture.shape[1]
    first = max(picture, around)
    with style.style():
        figure = Figure(figsize=(WIDE, 1.25 + first + 0.75 + CELL * side + 0.8 + CELL * found.answers.shape[0] + 0.35))
        figure.set_facecolor("white")
        FigureCanvasAgg(figure)
        say(figure, LEFT, 0.22, f"One convolution and one pooling of {name}", fontsize=13, fontweight="bold")
        say(figure, LEFT, 0.52, f"kernel {title(filtered)}: {filtered.setting}; {filtered.sizes}", color=style.MUTED)
        top = 1.25
        _where(figure, found, top, picture)
        top += first + 0.75
        _products(figure, found, top)
        top += CELL * side + 0.8
        _pooling(figure, found, top)
    return figure


def _heading(figure: Figure, left: float, top: float, text: str) -> None:
    say(figure, left, top - 0.24, text, fontsize=9.5, fontweight="bold")


def _where(figure: Figure, found: Steps, top: float, tall: float) -> None:
    """Draw the picture with the window on it, and the window's surroundings as numbers."""
    filtered, side = found.filtered, found.filtered.kernel.side
    _heading(figure, LEFT, top, "1  The window slides over the picture")
    ax = place(figure, LEFT, top, 3.4, tall)
    ax.imshow(filtered.picture[:, :, 0], cmap="gray", vmin=0, vmax=255, interpolation=style.smooth(filtered.picture))
    style.bare(ax)
    y, x = found.row * filtered.stride - filtered.padding, found.column * filtered.stride - filtered.padding
    _marked(ax, x + side / 2 - 0.5, y + side / 2 - 0.5, max(side, filtered.picture.shape[1] / 18))
    rows, columns = found.surroundings.shape
    numbers = place(figure, LEFT + 3.9, top, CELL * columns, CELL * rows)
    cells(numbers, found.surroundings, grey)
    left, above = found.column * filtered.stride - found.corner[1], found.row * filtered.stride - found.corner[0]
    if left + filtered.stride + side <= columns:
        outline(numbers, left + filtered.stride, above, side, NEXT, linestyle=(0, (3, 2)), linewidth=1.8)
    outline(numbers, left, above, side, WINDOW)
    row, column = found.row * filtered.stride, found.column * filtered.stride
    words = [
        "Grey levels, 0 black to 255 white, around the",
        f"window whose corner is row {row}, column {column}" + (" of" if filtered.padding else "."),
        *(["the padded picture."] if filtered.padding else []),
        "",
        f"The window holds {side} × {side} of them (orange).",
        f"Stride {filtered.stride}: the next one to the right begins",
        f"{_pixels(filtered.stride)} further (green).",
    ]
    say(figure, LEFT + 4.1 + CELL * columns, top, "\n".join(words), color=style.MUTED, fontsize=8.5)


def _marked(ax: Axes, x: float, y: float, size: float) -> None:
    """Frame a place of the picture, larger than the window where that would not be seen."""
    for colour, width in (("white", 3.5), (WINDOW, 1.8)):
        ax.add_patch(Rectangle((x - size / 2, y - size / 2), size, size, fill=False, edgecolor=colour, linewidth=width))


def _products(figure: Figure, found: Steps, top: float) -> None:
    """Draw window, kernel, products and their sum."""
    side = found.filtered.kernel.side
    kernel = found.filtered.kernel.weight.numpy()
    wide = CELL * side
    tables = (
        ("2  Window", found.window, grey, "×"),
        ("3  Kernel", kernel, signed(float(abs(kernel).max())), "="),
        ("4  Products", found.products, signed(float(abs(found.products).max())), "sum"),
    )
    left = LEFT
    for text, numbers, shade, sign in tables:
        _heading(figure, left, top, text)
        cells(place(figure, left, top, wide, wide), numbers, shade, size=8.5)
        say(figure, left + wide + 0.27, top + wide / 2, sign, ha="center", va="center", fontsize=13)
        left += wide + 0.54
    _heading(figure, left + 0.05, top, "5  The output's number")
    say(figure, left + 0.05, top + wide / 2, plain(found.total), fontsize=19, fontweight="bold", va="center")
    shown = [plain(float(value)) for value in found.products.flatten() if value]
    total = " + ".join(shown).replace("+ −", "− ") or "0"
    words = style.wrapped(f"{total} = {plain(found.total)}", 44)
    say(figure, left + 1.55, top, f"at row {found.row}, column {found.column} of the output:\n{words}",
        fontsize=8.5, color=style.MUTED)  # fmt: skip


def _pooling(figure: Figure, found: Steps, top: float) -> None:
    """Draw a piece of the output and what max and average pooling leave of it."""
    largest = float(abs(found.filtered.answers).max())
    shade = signed(largest)
    rows, columns = found.answers.shape
    _heading(figure, LEFT, top, "6  A piece of the output")
    wide = CELL * 1.35
    ax = place(figure, LEFT, top, wide * columns, CELL * rows)
    cells(ax, found.answers, shade, size=8.5)
    ax.set_aspect("auto")
    for row in range(0, rows, POOL):
        for column in range(0, columns, POOL):
            _frame(ax, column, row, POOL)
    y, x = found.row - found.answers_corner[0], found.column - found.answers_corner[1]
    if 0 <= y < rows and 0 <= x < columns:
        outline(ax, x, y, 1, WINDOW)
    left = LEFT + wide * columns + 0.7
    for text, numbers in (("7  The largest of each window", found.largest), ("8  Or its mean", found.mean)):
        _heading(figure, left, top, text)
        pooled = place(figure, left, top + CELL * rows / 4, wide * numbers.shape[1], CELL * numbers.shape[0])
        cells(pooled, numbers, shade, size=8.5)
        pooled.set_aspect("auto")
        left += max(wide * numbers.shape[1], 1.95) + 0.6
    high, across = found.filtered.answers.shape
    words = (
        f"Pooling takes {POOL} × {POOL} numbers at a time, stride\n{POOL}, and has no weights: max pooling keeps\n"
        "the largest, average pooling the mean. The\n"
        f"whole output, {high} × {across}, becomes {high // POOL} × {across // POOL}."
    )
    say(figure, left - 0.45, top, words, fontsize=8.5, color=style.MUTED)


def _frame(ax: Axes, left: float, top: float, size: int) -> None:
    ax.add_patch(
        Rectangle((left, top), size, size, fill=False, edgecolor=style.INK, linewidth=1.3, clip_on=False, zorder=5)
    )


def _pixels(count: int) -> str:
    return "1 pixel" if count == 1 else f"{count} pixels"
