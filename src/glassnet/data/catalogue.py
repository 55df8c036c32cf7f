"""The facts about the built-in data sets: classes, counts, licences, and where each file is to be had.

Every checksum is the SHA-256 that several independent projects publish for the file (TensorFlow Datasets, TorchData,
MLDatasets.jl, torch-rb among them); a mirror needs no more trust than that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One file to download: its name, its size in bytes, its checksum (`sha256:...`), its mirrors in order."""

    name: str
    size: int
    checksum: str
    urls: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A built-in data set as published.

    train, test: numbers of pictures. height, width, channels: of every picture; None where they differ.
    layout: how its files are read: `sheets`, `idx`, `cifar` or `pets`. remotes: what to download; empty for `sheets`.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train: int
    test: int
    height: int | None
    width: int | None
    channels: int
    licence: str
    homepage: str
    layout: str
    remotes: tuple[Remote, ...] = ()

    @property
    def download_size(self) -> int:
        """Bytes to download, all files together."""
        return sum(remote.size for remote in self.remotes)


def _remotes(folders: tuple[str, ...], files: dict[str, tuple[int, str]]) -> tuple[Remote, ...]:
    """Return a `Remote` for each of `files` (name -> size, SHA-256), all of them found in each of `folders`."""
    return tuple(
        Remote(name=name, size=size, checksum=f"sha256:{digest}", urls=tuple(folder + name for folder in folders))
        for name, (size, digest) in files.items()
    )


_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
"""
_PETS = """
    Abyssinian, American Bulldog, American Pit Bull Terrier, Basset Hound, Beagle, Bengal, Birman, Bombay, Boxer,
    British Shorthair, Chihuahua, Egyptian Mau, English Cocker Spaniel, English Setter, German Shorthaired,
    Great Pyrenees, Havanese, Japanese Chin, Keeshond, Leonberger, Maine Coon, Miniature Pinscher, Newfoundland,
    Persian, Pomeranian, Pug, Ragdoll, Russian Blue, Saint Bernard, Samoyed, Scottish Terrier, Shiba Inu, Siamese,
    Sphynx, Staffordshire Bull Terrier, Wheaten Terrier, Yorkshire Terrier
"""

_TORONTO = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://storage.googleapis.com/mirror.tensorflow.org/www.cs.toronto.edu/~kriz/",
)
_CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

_ALL = (
    BuiltIn(
        name="fashion-mini",
        title="Fashion-MNIST, a sixth of it: clothes in grey, comes with glassnet",
        classes=_CLOTHES,
        train=10_000,
        test=2_000,
        height=28,
        width=28,
        channels=1,
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        layout="sheets",
    ),
    BuiltIn(
        name="fashion-mnist",
        title="Fashion-MNIST: clothes in grey (Xiao, Rasul, Vollgraf 2017)",
        classes=_CLOTHES,
        train=60_000,
        test=10_000,
        height=28,
        width=28,
        channels=1,
        licence="MIT",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        layout="idx",
        remotes=_remotes(
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            {
                "train-images-idx3-ubyte.gz": (
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                "train-labels-idx1-ubyte.gz": (
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                "t10k-images-idx3-ubyte.gz": (
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            },
        ),
    ),
    BuiltIn(
        name="mnist",
        title="MNIST: handwritten digits in grey (LeCun, Cortes, Burges 1998)",
        classes=tuple("0123456789"),
        train=60_000,
        test=10_000,
        height=28,
        width=28,
        channels=1,
        licence="CC BY-SA 3.0, as commonly stated",
        homepage="http://yann.lecun.com/exdb/mnist/",
        layout="idx",
        remotes=_remotes(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "http://yann.lecun.com/exdb/mnist/",
            ),
            {
                "train-images-idx3-ubyte.gz": (
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                ),
                "train-labels-idx1-ubyte.gz": (
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                ),
                "t10k-images-idx3-ubyte.gz": (
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            },
        ),
    ),
    BuiltIn(
        name="cifar10",
        title="CIFAR-10: ten kinds of things in colour (Krizhevsky 2009)",
        classes=_CIFAR10,
        train=50_000,
        test=10_000,
        height=32,
        width=32,
        channels=3,
        licence="none stated; cite Krizhevsky 2009",
        homepage=_CIFAR_PAGE,
        layout="cifar",
        remotes=_remotes(
            _TORONTO,
            {
                "cifar-10-binary.tar.gz": (
                    170_052_171,
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                )
            },
        ),
    ),
    BuiltIn(
        name="cifar100",
        title="CIFAR-100: a hundred kinds of things in colour (Krizhevsky 2009)",
        classes=tuple(_CIFAR100.split()),
        train=50_000,
        test=10_000,
        height=32,
        width=32,
        channels=3,
        licence="none stated; cite Krizhevsky 2009",
        homepage=_CIFAR_PAGE,
        layout="cifar",
        remotes=_remotes(
            _TORONTO,
            {
                "cifar-100-binary.tar.gz": (
                    168_513_733,
                    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                )
            },
        ),
    ),
    BuiltIn(
        name="oxford-pets",
        title="Oxford-IIIT Pet: photos of 37 breeds of cats and dogs (Parkhi et al. 2012)",
        classes=tuple(breed.strip() for breed in _PETS.split(",")),
        train=3_680,
        test=3_669,
        height=None,
        width=None,
        channels=3,
        licence="CC BY-SA 4.0",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/pets/",
        layout="pets",
        remotes=_remotes(
            ("https://thor.robots.ox.ac.uk/datasets/pets/", "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"),
            {
                "annotations.tar.gz": (
                    19_173_078,
                    "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
                ),
                "images.tar.gz": (
                    791_918_971,
                    "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
                ),
            },
        ),
    ),
)

CATALOGUE = {builtin.name: builtin for builtin in _ALL}
