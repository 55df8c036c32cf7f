"""glassnet: convolutional networks in a glass case."""

__version__ = "0.1.0"
