"""Recipes: every training choice in one frozen dataclass; a named recipe is a function that returns one."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import tomli_w

from glassnet.errors import InputError, UnknownName
from glassnet.files import write_text
from glassnet.training.schedules import SCHEDULES

# field -> (least, most) allowed; every other number must be >= 0
_RANGES: dict[str, tuple[float, float]] = {
    "batch_size": (1, 1_000_000),
    "accumulate": (1, 1_000_000),
    "learning_rate": (1e-12, 1e3),
    "muon_learning_rate": (1e-12, 1e3),
    "momentum": (0.0, 0.9999),
    "muon_momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 10.0),
    "warmup": (0.0, 0.99),
    "layer_decay": (0.01, 1.0),
    "ema": (0.0, 0.999999),
    "label_smoothing": (0.0, 0.99),
    "flip": (0.0, 1.0),
    "erasing": (0.0, 1.0),
    "mixup": (0.0, 10.0),
    "cutmix": (0.0, 10.0),
    "crop_scale": (0.0, 1.0),
    "rand_augment": (0, 30),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "optimiser": ("sgd", "adamw", "muon"),
    "schedule": SCHEDULES,
    "balance": ("none", "weights", "sampling"),
    "select": ("best", "last"),
    "score": ("accuracy", "macro_f1", "loss"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of a training; the defaults are those of a plain, sound training from scratch.

    Raises `InputError` naming the field, its value and what is allowed. "Step" is one step of the optimiser.
    """

    task: ClassVar[str] = "classification"
    ranges: ClassVar[dict[str, tuple[float, float]]] = _RANGES
    choices: ClassVar[dict[str, tuple[str, ...]]] = _CHOICES

    name: str = "custom"
    network: str = ""  # the network it was tuned with, taken where the user names none; empty leaves that to the data

    # How long.
    epochs: float = 20.0  # passes over the training pictures; 0 trains nothing but the probe
    steps: int = 0  # when above 0: exactly so many steps, whatever `epochs` says
    batch_size: int = 64  # pictures per step, on each process
    accumulate: int = 1  # parts a batch is run in, one after the other: 1/n of the memory, the same step
    validate_every: float = 1.0  # epochs between validations; 0 validates at the end only
    patience: int = 0  # validations without a better score before stopping early; 0 never stops early
    select: str = "best"  # which weights become the network: best on validation, or last
    score: str = "accuracy"  # what "best" means: accuracy, macro_f1, or (lowest) loss

    # Optimiser.
    optimiser: str = "sgd"
    learning_rate: float = 0.1  # at the schedule's peak
    momentum: float = 0.9  # of SGD; AdamW's first beta
    nesterov: bool = True
    weight_decay: float = 5e-4  # of convolution and dense weights only, never of biases and norms
    muon_learning_rate: float = 0.02  # of the body's matrices under muon; everything else follows learning_rate by SGD
    muon_momentum: float = 0.9
    schedule: str = "one_cycle"
    warmup: float = 0.2  # fraction of the steps in which the learning rate climbs to its peak
    clip: float = 0.0  # largest norm of the gradient; 0 does not clip
    ema: float = 0.0  # decay of the moving average of the weights that is validated and kept; 0 keeps the weights

    # Loss.
    label_smoothing: float = 0.1
    balance: str = "none"  # for unbalanced classes: `weights` in the loss, or `sampling` rare ones more often

    # Input and augmentation, on the training pictures only.
    size: int = 0  # pixels of the input's side; 0 follows the network, or the pictures where they are small
    flip: float = 0.5  # probability of a left-right mirror
    shift: int = 0  # pixels the picture may move in each direction
    crop_scale: float = 0.0  # least share of the area that a random-resized crop keeps; 0 crops nothing
    erasing: float = 0.0  # probability that a rectangle is erased
    mixup: float = 0.0  # alpha of MixUp's Beta distribution; 0 mixes nothing
    cutmix: float = 0.0  # alpha of CutMix's
    rand_augment: int = 0  # magnitude of RandAugment (needs the extra "augment"); 0 is off
    tta: bool = False  # judge with the mirrored picture averaged in

    # Starting from trained weights.
    probe: bool = False  # first fit the head alone on the frozen body's features, computed once and cached
    freeze: float = 0.0  # epochs in which only the head trains
    frozen_stages: int = 0  # so many stages of the body, from the input on, never train
    layer_decay: float = 1.0  # each stage further from the head learns slower by this factor

    # Machine.
    precision: str = "auto"  # fp32, bf16, fp16; auto: bf16 where the device has matrix units for it
    channels_last: bool = True  # memory layout of the weights and batches; 1.1x to 1.6x faster convolutions on CPUs

    def __post_init__(self) -> None:
        """Check every field; integers given for floats become floats."""
        for field in fields(self):
            value = self._checked(field.name, getattr(self, field.name), type(field.default))
            object.__setattr__(self, field.name, value)
        if self.epochs == 0 and self.steps == 0 and not self.probe:
            raise InputError("epochs is 0, steps is 0 and probe is off: nothing would be trained; set one of them")
        if self.accumulate > self.batch_size:
            raise InputError(
                f"accumulate={self.accumulate} parts of a batch of {self.batch_size}: at most one a picture"
            )

    @property
    def only_probes(self) -> bool:
        """Whether the body stays as it was: a probe, and no step behind it."""
        return self.probe and self.epochs == 0 and self.steps == 0

    def _checked(self, name: str, value: Any, kind: Any) -> Any:
        """Return `value` as `kind`, or raise `InputError` saying what field `name` takes."""
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not kind:
            expected = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[kind]
            raise InputError(f"recipe field {name}={value!r}: expected {expected}")
        if name in self.choices and value not in self.choices[name]:
            raise InputError(f"recipe field {name}={value!r}: expected one of {', '.join(self.choices[name])}")
        if kind in (int, float):
            least, most = self.ranges.get(name, (0, math.inf))
            if not least <= value <= most or math.isinf(value):
                top = "" if math.isinf(most) else f" and at most {most:g}"
                raise InputError(f"recipe field {name}={value!r}: expected at least {least:g}{top}")
        return value

    def to_toml(self) -> str:
        """Return the recipe as TOML text; `from_toml` reads it back unchanged."""
        return tomli_w.dumps(dataclasses.asdict(self))

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read a recipe from TOML text. Raises `InputError` for broken TOML, `UnknownName` for an unknown field."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"a recipe's TOML cannot be read: {error}") from error
        return cls().replace(**values)

    def replace(self, **overrides: Any) -> Self:
        """Return a copy with fields replaced. Raises `UnknownName` with the nearest fields, `InputError`."""
        known = [field.name for field in fields(self)]
        for name in overrides:
            if name not in known:
                raise UnknownName("recipe field", name, known)
        return dataclasses.replace(self, **overrides)

    def save(self, path: Path) -> None:
        """Write the recipe to `path`, atomically."""
        write_text(path, self.to_toml())


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def quick() -> Recipe:
    """A decent network in a few minutes: one short cycle at a large learning rate, no mirroring (safe for digits)."""
    return Recipe(name="quick", epochs=5, batch_size=64, learning_rate=0.1, flip=0.0, shift=2)


def standard() -> Recipe:
    """From scratch, the usual way: random crops and mirrors, one cycle of SGD, averaged weights."""
    return Recipe(name="standard", epochs=40, batch_size=64, learning_rate=0.1, ema=0.998, crop_scale=0.5)


def transfer() -> Recipe:
    """For a pretrained network: its features once, cached, and a linear probe on them; seconds, not hours."""
    return Recipe(name="transfer", epochs=0, probe=True, label_smoothing=0.0, flip=0.0)


def best() -> Recipe:
    """The best network that a pretrained one can become: the probe first, then all layers, the early ones slower."""
    return Recipe(
        name="best",
        epochs=10,
        batch_size=32,
        probe=True,
        optimiser="adamw",
        learning_rate=1e-3,
        weight_decay=0.02,
        schedule="cosine",
        warmup=0.1,
        layer_decay=0.8,
        frozen_stages=3,  # the first are the slowest and the most general: twice the epochs in the same time
        clip=1.0,
        ema=0.99,
        crop_scale=0.5,
        erasing=0.1,
        mixup=0.2,
        tta=True,
    )


def sprint() -> Recipe:
    """For pictures of about 28x28, in 6 seconds on two cores: meant for 90 % on Fashion-MNIST."""
    return Recipe(
        name="sprint",
        network="sprint_s",
        steps=440,  # fixed, not epochs: a little more than one pass over 51,000 pictures
        batch_size=128,
        optimiser="muon",  # on validation 0.2 points above SGD at 0.4 in each of three seeds, for 7 % more time
        learning_rate=0.3,
        muon_learning_rate=0.1,
        validate_every=0,  # the last weights count, so that nothing is chosen and one validation is enough
        select="last",
        schedule="triangular",
        flip=0.0,  # in one pass hardly a picture is seen twice, so none needs to look different
    )


def sprint_minute() -> Recipe:
    """For pictures of about 28x28, in a minute: meant for 92 % on Fashion-MNIST."""
    return sprint().replace(name="sprint_minute", network="sprint_m", steps=1200, flip=0.5)


def sprint_minutes() -> Recipe:
    """For pictures of about 28x28, in four minutes: meant for 93 % on Fashion-MNIST."""
    return sprint_minute().replace(name="sprint_minutes", steps=4800, erasing=0.3)


def sprint_digits() -> Recipe:
    """For pictures of about 28x28 without a mirror image, in 4 seconds: meant for 99 % on MNIST."""
    return sprint().replace(name="sprint_digits", steps=280)


def sprint_digits_minute() -> Recipe:
    """The same in less than half a minute: meant for 99.4 % on MNIST."""
    return sprint_minute().replace(name="sprint_digits_minute", network="sprint_s", steps=1400, flip=0.0, shift=1)


class Recipes(Generic[AnyRecipe]):
    """The named recipes of one `kind`: functions that return one each, whose first line says what it is for."""

    def __init__(self, kind: type[AnyRecipe], *functions: Callable[[], AnyRecipe]) -> None:
        self.kind = kind
        self._functions = {function.__name__: function for function in functions}

    def named(self, pattern: str = "*") -> dict[str, AnyRecipe]:
        """Return those whose name matches `pattern`, in their order of description."""
        return {name: function() for name, function in self._functions.items() if fnmatch.fnmatch(name, pattern)}

    def summary(self, name: str) -> str:
        """Return the one-line description of a named recipe."""
        return (self._functions[name].__doc__ or "").splitlines()[0]

    def find(self, name: str, **overrides: Any) -> AnyRecipe:
        """Return a named recipe, or the one in a `.toml` file, with fields replaced.

        Raises `UnknownName` for an unknown recipe or field, `InputError` for a wrong value.
        """
        if name.endswith(".toml"):
            return self._read(name).replace(**overrides)
        if name not in self._functions:
            known = ", ".join(self._functions)
            hint = f"recipes of {self.kind.task} are {known}, or a .toml file"
            raise UnknownName(f"recipe of {self.kind.task}", name, self._functions, hint=hint)
        return self._functions[name]().replace(**overrides)

    def _read(self, path: str) -> AnyRecipe:
        """Return the recipe in a `.toml` file; raise `InputError` that names the file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"the recipe file {path!r} cannot be read: {reason}") from error
        try:
            return self.kind.from_toml(text)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


RECIPES = Recipes(
    Recipe,
    *(quick, standard, best, transfer),
    *(sprint, sprint_minute, sprint_minutes, sprint_digits, sprint_digits_minute),
)
"""The recipes of classification."""
