"""Networks written as TOML: a language of layers and blocks, and the classifier a description becomes.

`language` says what can be written, `lines` where it stands in the file, `blocks` what the papers' blocks abbreviate,
`build` makes the modules, `network` joins them to the registry. The whole language is in docs/networks-in-toml.md.
"""

from glassnet.models.described.network import ARCHITECTURE, Described, fit_to, is_description, read

__all__ = ["ARCHITECTURE", "Described", "fit_to", "is_description", "read"]
