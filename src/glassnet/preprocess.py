"""Preprocess: the one contract from stored pixels to a network's input, the same in training, evaluation and serving.

It has two halves. `intermediate` decodes one picture of any kind into a uint8 array of one fixed size (this is what
the caches hold); `finish` turns a whole batch of those into the network's float input: centre crop, `/ 255`, mean and
standard deviation. A path, its bytes, an unread PIL file and a decoded array all pass through the same few lines, so
they give the same bits.

Colours are the stored ones: an embedded colour profile is not applied (nor do the usual training tools apply it).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from glassnet.errors import InputError, PictureError, UnknownName
from glassnet.files import open_regular

if TYPE_CHECKING:
    import torch

Pixels: TypeAlias = npt.NDArray[np.uint8]
Source: TypeAlias = "Path | str | bytes | Image.Image | npt.NDArray[Any]"
Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIZES = ("shortest", "squash", "pad")
DECODES = ("full", "dct")
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
PIXEL_LIMIT = 200_000_000  # a picture of more pixels is refused as a decompression bomb
# No format here starts another program to be read, as EPS does. JPEG includes the MPO files of some cameras.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF"),
    *("DIB", "ICO", "PCX", "PSD", "QOI", "SGI", "TGA"),
)
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"\x93NUMPY")
# (scale, how many times larger per side than the intermediate a JPEG must be to be decoded at 1 / scale). Four times
# the wanted pixels are left, five at 1/8: on 228 sharp photographs the result then moved by at most 8 grey levels and
# on average by at most 0.48; with twice the pixels left, the custom elsewhere, by up to 18 and 3.0.
DCT_SCALES = ((8, 40.0), (4, 16.0), (2, 8.0))
# EXIF orientation -> the transposition that shows it upright, and which of its axes then run backwards.
ORIENTATIONS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, (True, False)),
    3: (Image.Transpose.ROTATE_180, (True, True)),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, (False, True)),
    5: (Image.Transpose.TRANSPOSE, (False, False)),
    6: (Image.Transpose.ROTATE_270, (True, False)),
    7: (Image.Transpose.TRANSVERSE, (True, True)),
    8: (Image.Transpose.ROTATE_90, (False, True)),
}
BLOCK = 1 << 17  # values that are finished at a time: half a megabyte of float32
WORTH_RECYCLING = 1 << 19  # values: a smaller array is cheap to get anew
RECYCLED = 3  # arrays for finished batches that are kept to be used again
_open_lock = threading.Lock()
_recycle_lock = threading.Lock()
_recycled: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)]
_UNUSED = sys.getrefcount(_recycled[0])  # what an array in the list counts when nobody else holds it


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How a picture becomes a network's input. Sizes are pixels; `mean` and `std` are of values in [0, 1].

    `resize` fits a picture into the intermediate of `store_height` x `store_width` pixels: "shortest" scales it until
    it covers the intermediate and keeps the centre; "squash" ignores the aspect ratio; "pad" scales it until it fits
    and fills the rest with `background`. `crop` is the share of the intermediate's side that the centre crop keeps
    (224 / 256 = 0.875 is ImageNet's custom; 1.0 keeps all). `decode="dct"` reads large JPEGs at a reduced scale, many
    times faster, for a difference of at most a few grey levels. `background` also lies under transparent pixels.
    `mean` and `std` left empty are ImageNet's for 3 channels and 0.5 otherwise.
    """

    height: int = 224
    width: int = 224
    channels: int = 3
    resize: str = "shortest"
    crop: float = 0.875
    interpolation: str = "bilinear"
    decode: str = "full"
    background: tuple[int, int, int] = (0, 0, 0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the default mean and std; raise `InputError` or `UnknownName` for a value that cannot work."""
        colour = self.channels == 3
        defaults = {
            "mean": IMAGENET_MEAN if colour else (0.5,) * _positive("channels", self.channels),
            "std": IMAGENET_STD if colour else (0.5,) * self.channels,
        }
        for name, default in defaults.items():
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)) or default)
        object.__setattr__(self, "background", tuple(self.background))
        self._check()

    def _check(self) -> None:
        _positive("height", self.height)
        _positive("width", self.width)
        for name, known in (("resize", RESIZES), ("interpolation", tuple(FILTERS)), ("decode", DECODES)):
            if getattr(self, name) not in known:
                raise UnknownName(name, str(getattr(self, name)), known, hint=f"it is one of: {', '.join(known)}")
        if not 0.1 <= self.crop <= 1.0:
            raise InputError(f"crop is {self.crop}, expected 0.1 to 1.0 (the share of the side that is kept)")
        if len(self.background) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in self.background):
            raise InputError(f"background is {self.background}, expected three whole numbers from 0 to 255 (r, g, b)")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != self.channels or not all(math.isfinite(value) for value in values):
                raise InputError(f"{name} is {values}, expected {self.channels} finite numbers, one per channel")
        if min(self.std) <= 0:
            raise InputError(f"std is {self.std}, expected numbers above 0")

    @property
    def store_height(self) -> int:
        """Height of the intermediate, pixels."""
        return max(self.height, round(self.height / self.crop))

    @property
    def store_width(self) -> int:
        """Width of the intermediate, pixels."""
        return max(self.width, round(self.width / self.crop))

    def intermediate(self, source: Source, *, pixel_limit: int = PIXEL_LIMIT) -> Pixels:
        """Decode `source` into the intermediate: (store_height, store_width, channels) uint8, the same for any origin.

        `source` is a path, a file's bytes, a PIL image (an unread one stays unread), or an array (H, W) or (H, W, C)
        of uint8, uint16 (scaled by 1/256), bool, or float in [0, 1]. EXIF orientation is applied, CMYK and palettes
        become RGB, 16-bit values are scaled, transparent pixels lie over `background`, an animation gives its first
        frame, and `channels` decides between grey and RGB. `.npy` files hold pictures of any number of channels.
        Raises `PictureError` whose `kind` is empty, truncated, not_a_picture, bomb or unreadable.
        """
        target = (self.store_width, self.store_height)
        drawn = open_source(source, pixel_limit)
        if isinstance(drawn, Image.Image):
            planes, shown, origin = self._draw(drawn)
        else:
            planes = _planes_of_array(drawn, self.channels, self.background)
            shown, origin = planes[0].size, (0.0, 0.0)
        arrays = [self._fit(plane, shown, origin, target) for plane in planes]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=2)

    def _draw(self, image: Image.Image) -> tuple[list[Image.Image], tuple[float, float], tuple[float, float]]:
        """Decode upright and in the right colours; return planes, the picture's (width, height) and where it starts.

        A reduced JPEG's size is rounded up, so its true size is a fraction of a pixel smaller and, where an axis was
        turned round, begins that fraction after its first pixel.
        """
        orientation = orientation_of(image)
        shown: tuple[float, float] = image.size
        if self.decode == "dct":
            shown = self._reduce(image, turned=orientation >= 5)
        try:
            image.load()
        except Exception as error:  # codecs raise nearly anything on broken data
            raise _picture_error(error) from error
        spare = (image.width - shown[0], image.height - shown[1])
        origin = (0.0, 0.0)
        if orientation in ORIENTATIONS:
            transpose, backwards = ORIENTATIONS[orientation]
            image = image.transpose(transpose)
            if orientation >= 5:
                shown, spare = shown[::-1], spare[::-1]
            origin = (spare[0] * backwards[0], spare[1] * backwards[1])
        return _planes_of_image(image, self.channels, self.background), shown, origin

    def _reduce(self, image: Image.Image, *, turned: bool) -> tuple[float, float]:
        """Let a JPEG decode at 1/2, 1/4 or 1/8 where that loses nothing visible; return its exact (width, height)."""
        width, height = image.size
        if not isinstance(image, ImageFile.ImageFile) or image.format not in ("JPEG", "MPO") or not image.tile:
            return width, height
        target = (self.store_height, self.store_width) if turned else (self.store_width, self.store_height)
        across, down = width / target[0], height / target[1]  # source pixels per stored pixel
        ratio = {"shortest": min(across, down), "pad": max(across, down), "squash": min(across, down)}[self.resize]
        scale = next((scale for scale, needed in DCT_SCALES if ratio >= needed), 1)
        if scale > 1:
            image.draft(image.mode, (width // scale, height // scale))
        return width / scale, height / scale

    def _fit(
        self, plane: Image.Image, shown: tuple[float, float], origin: tuple[float, float], target: tuple[int, int]
    ) -> Pixels:
        """Resize one plane of `shown` size beginning at `origin` to `target` (width, height) by the resize rule."""
        width, height = shown
        inside = target
        box: Box = (0.0, 0.0, width, height)
        if self.resize == "shortest":
            scale = max(target[0] / width, target[1] / height)
            margins = (max(0.0, (width - target[0] / scale) / 2), max(0.0, (height - target[1] / scale) / 2))
            box = (margins[0], margins[1], width - margins[0], height - margins[1])
        elif self.resize == "pad":
            scale = min(target[0] / width, target[1] / height)
            inside = (
                max(1, min(target[0], round(width * scale))),
                max(1, min(target[1], round(height * scale))),
            )
        box = (
            max(0.0, box[0] + origin[0]),
            max(0.0, box[1] + origin[1]),
            min(float(plane.width), box[2] + origin[0]),
            min(float(plane.height), box[3] + origin[1]),
        )
        resized = plane.resize(inside, FILTERS[self.interpolation], box=box)
        if inside != target:
            canvas = Image.new(plane.mode, target, _fill(self.background, plane.mode))
            canvas.paste(resized, ((target[0] - inside[0]) // 2, (target[1] - inside[1]) // 2))
            resized = canvas
        pixels = np.array(resized, dtype=np.uint8)
        return pixels[:, :, None] if pixels.ndim == 2 else pixels

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Turn (N, h, w, C) uint8 (or float in [0, 255]) into the network's input (N, C, height, width) float32.

        The result is channels_last in memory. `h` x `w` is the intermediate's size, of which the centre is kept, or
        already the input's size (a random crop's). Raises `InputError` for any other shape.
        """
        import torch

        batch = self._centre(batch)
        # One row of a picture is one long vector, so the inner loop runs over width * channels values and not over 3.
        scale = np.tile(np.array([1 / (255 * std) for std in self.std], np.float32), self.width)
        offsets = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        shift = np.tile(np.array(offsets, np.float32), self.width)
        shape = (len(batch), self.height, self.width * self.channels)
        if batch.device.type == "cpu":
            out = torch.from_numpy(_scale_and_shift(batch.numpy(), scale, shift, shape))
        else:
            out = batch.reshape(shape).to(torch.float32)
            # Two roundings as on the CPU, never a fused one: a picture's input must not depend on where it was made.
            out.mul_(torch.from_numpy(scale).to(out.device)).add_(torch.from_numpy(shift).to(out.device))
        return out.view(len(batch), self.height, self.width, self.channels).permute(0, 3, 1, 2)

    def _centre(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the view of the centre `height` x `width` of a (N, h, w, C) batch."""
        stored, wanted = (self.store_height, self.store_width), (self.height, self.width)
        if batch.ndim != 4 or batch.shape[3] != self.channels or tuple(batch.shape[1:3]) not in (stored, wanted):
            raise InputError(
                f"a batch of shape {tuple(batch.shape)} came, expected (N, {stored[0]}, {stored[1]}, {self.channels})"
                f" or (N, {wanted[0]}, {wanted[1]}, {self.channels}): make it with this preprocess's intermediate()"
            )
        top, left = (batch.shape[1] - self.height) // 2, (batch.shape[2] - self.width) // 2
        return batch[:, top : top + self.height, left : left + self.width]

    def key(self) -> str:
        """Return a short name of everything that shapes the intermediate: caches are filed under it."""
        shaping = (
            *("intermediate-1", self.store_height, self.store_width, self.channels),
            *(self.resize, self.interpolation, self.decode, self.background),
        )
        return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold."""
        fields = dataclasses.asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Make a preprocess from `to_dict`'s result; raises `InputError` for a field that it does not have."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise UnknownName("preprocess field", name, known, hint=f"the fields are: {', '.join(known)}")
        values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}
        return cls(**values)


def open_picture(data: bytes, *, pixel_limit: int = PIXEL_LIMIT) -> Image.Image:
    """Read the header of a picture file's bytes; the pixels stay unread.

    Raises `PictureError` of kind empty, not_a_picture, unreadable (a known format with a broken header) or bomb (more
    than `pixel_limit` pixels).
    """
    if not data:
        raise PictureError("the file is empty (0 bytes)", kind="empty")
    try:
        with _open_lock:  # our own limit holds here, whatever Pillow's global one says, and no warning is printed
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(io.BytesIO(data), formats=_formats())
            finally:
                Image.MAX_IMAGE_PIXELS = before
    except UnidentifiedImageError as error:
        if data.startswith(SIGNATURES):
            raise PictureError("the picture's header is broken or cut off", kind="unreadable") from error
        raise PictureError("no picture format begins with these bytes", kind="not_a_picture") from error
    except Exception as error:  # format readers raise nearly anything on broken headers
        raise _picture_error(error) from error
    _check_pixels(image.width, image.height, pixel_limit)
    return image


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this build of Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_source(source: Source, pixel_limit: int) -> Image.Image | npt.NDArray[Any]:
    """Bring any source to an unread PIL image of our own, a decoded PIL image, or an array."""
    if isinstance(source, (str, Path)):
        source = _read(Path(source))
    if isinstance(source, Image.Image):
        unread = _bytes_of_unread(source)
        if unread is None:
            _check_pixels(source.width, source.height, pixel_limit)
            return source
        source = unread
    if isinstance(source, bytes):
        return _array(source) if source.startswith(b"\x93NUMPY") else open_picture(source, pixel_limit=pixel_limit)
    if isinstance(source, np.ndarray):
        return source
    raise InputError(f"a picture of type {type(source).__name__} came; give a path, bytes, a PIL image or an array")


def _read(path: Path) -> bytes:
    try:
        with open_regular(str(path)) as file:
            return file.readall()
    except (OSError, PictureError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PictureError(f"cannot read {path}: {reason}", kind="unreadable") from error


def _bytes_of_unread(image: Image.Image) -> bytes | None:
    """Return the file behind a PIL image whose pixels were not read yet, leaving it as it is; else None."""
    if not isinstance(image, ImageFile.ImageFile) or not image.tile or image.fp is None or image.tell() != 0:
        return None
    try:
        position = image.fp.tell()
        image.fp.seek(0)
        data = image.fp.read()
        image.fp.seek(position)
    except (OSError, ValueError) as error:
        raise PictureError(f"the PIL image's file can no longer be read: {error}") from error
    return data


def _array(data: bytes) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise PictureError(f"the .npy file cannot be read: {error}", kind="unreadable") from error
    return array


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none or the EXIF block is broken."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block does not make the pixels worse: viewers show such pictures upright too
        return 1
    return value if value in ORIENTATIONS else 1


def _planes_of_array(array: npt.NDArray[Any], channels: int, background: tuple[int, int, int]) -> list[Image.Image]:
    """Bring an array (H, W) or (H, W, C) to planes that PIL can resize: one L or RGB image, or one L image each."""
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise PictureError(f"an array of shape {array.shape} came, expected (H, W) or (H, W, C) with H, W, C above 0")
    eight = _eight_bit(array)
    if eight.ndim == 3 and eight.shape[2] == 1:
        eight = eight[:, :, 0]
    bands = 1 if eight.ndim == 2 else eight.shape[2]
    if channels in (1, 3) and bands <= 4:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[bands]
        image = Image.frombytes(mode, (eight.shape[1], eight.shape[0]), np.ascontiguousarray(eight).tobytes())
        return _planes_of_image(image, channels, background)
    if bands != channels:
        raise PictureError(f"the picture has {bands} channels, expected {channels}", kind="wrong_shape")
    return [Image.fromarray(np.ascontiguousarray(eight[:, :, band])) for band in range(bands)]


def _eight_bit(array: npt.NDArray[Any]) -> Pixels:
    """Scale uint8, uint16, bool, or float in [0, 1] to uint8. 16 bits keep their upper byte, as libpng's do."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    low, high = array.min(), array.max()
    if array.dtype.kind in "ui" and array.dtype.itemsize > 1 and low >= 0 and high <= 65535:
        upper: Pixels = (array.astype(np.uint16) >> 8).astype(np.uint8)
        return upper
    if array.dtype.kind == "f" and low >= 0 and high <= 1:  # NaN fails both comparisons
        rounded: Pixels = np.rint(array * 255).astype(np.uint8)
        return rounded
    raise PictureError(
        f"{array.dtype} values from {low} to {high} came, expected uint8, uint16, or float in [0, 1]: scale them first"
    )


def _planes_of_image(image: Image.Image, channels: int, background: tuple[int, int, int]) -> list[Image.Image]:
    """Bring a decoded PIL image of any mode to one L or RGB image, or to one L image per channel."""
    if image.mode.startswith("I") or image.mode == "F":
        return _planes_of_array(np.asarray(image), channels, background)
    if channels not in (1, 3):
        if len(image.getbands()) != channels:
            raise PictureError(
                f"the picture has {len(image.getbands())} channels, expected {channels}", kind="wrong_shape"
            )
        return list(image.split())
    mode = "L" if channels == 1 else "RGB"
    try:
        if image.has_transparency_data:
            image = _over(image.convert("RGBA"), background)
        elif image.mode in ("P", "PA"):
            image = image.convert("RGB")  # straight from a palette to grey would depend on the palette's own mode
        return [image if image.mode == mode else image.convert(mode)]
    except ValueError as error:
        raise PictureError(f"pictures of mode {image.mode} cannot be converted to {mode}; save it as RGB") from error


def _over(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Lay an RGBA picture over a plain background."""
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return canvas


def _fill(background: tuple[int, int, int], mode: str) -> tuple[int, ...] | int:
    """Return the background in the plane's own mode: grey by the same weights as PIL's conversion (ITU-R 601)."""
    return background if mode == "RGB" else Image.new("RGB", (1, 1), background).convert("L").tobytes()[0]


def _scale_and_shift(
    batch: npt.NDArray[Any], scale: npt.NDArray[np.float32], shift: npt.NDArray[np.float32], shape: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """Return batch * scale + shift, float32 of `shape` (N, h, w C), in blocks that fit the processor's cache.

    That takes a third of the time of three passes over the whole batch, which would go through main memory.
    """
    out = _empty(shape)
    block = max(1, BLOCK // max(1, shape[1] * shape[2]))
    for start in range(0, shape[0], block):
        part = out[start : start + block]
        part[...] = batch[start : start + block].reshape(part.shape)
        part *= scale
        part += shift
    return out


def _empty(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return an uninitialised array, in memory that an earlier large batch no longer needs.

    New memory must be cleared by the kernel first, which takes longer than filling it. A tensor and all its views hold
    a reference to their array: one with no other reference than ours is free.
    """
    size = math.prod(shape)
    if size < WORTH_RECYCLING:
        return np.empty(shape, dtype=np.float32)
    with _recycle_lock:
        for position in range(len(_recycled)):
            if _recycled[position].size == size and sys.getrefcount(_recycled[position]) == _UNUSED:
                return _recycled[position].reshape(shape)
        array = np.empty(size, dtype=np.float32)
        _recycled.append(array)
        del _recycled[:-RECYCLED]
    return array.reshape(shape)


def _check_pixels(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise PictureError(
            f"{width} x {height} pixels are more than the limit of {limit:,}: a decompression bomb, or scale it down",
            kind="bomb",
        )


def _picture_error(error: Exception) -> PictureError:
    """Say what a codec's exception means for the picture."""
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return PictureError(str(error), kind="bomb")
    cut_off = "truncated" in str(error).lower() or isinstance(error, EOFError)
    return PictureError(f"cannot decode: {error}", kind="truncated" if cut_off else "unreadable")


def _positive(name: str, value: Sequence[int] | int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}, expected a whole number above 0")
    return value
