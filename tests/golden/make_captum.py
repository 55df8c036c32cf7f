"""Record what Captum's Saliency, Deconvolution and GuidedBackprop answer, for tests that do not need it.

Run it where torch and Captum are (an environment of its own); it writes captum.json beside itself:

    python tests/golden/make_captum.py
"""

from __future__ import annotations

import json
import warnings

import captum  # type: ignore[import-not-found]
import captum.attr  # type: ignore[import-not-found]
import small_nets  # type: ignore[import-not-found]  # beside this script
import torch


def record(name: str) -> dict[str, list[float]]:
    """Return for each rule the attribution of the two pictures, flat, and the logits."""
    net = small_nets.build(name)
    found = {"logits": rounded(net(small_nets.pictures()))}
    for rule, theirs in small_nets.RULES.items():
        method = getattr(captum.attr, theirs)(net)
        options = {"abs": False} if theirs == "Saliency" else {}
        pictures = small_nets.pictures().requires_grad_()
        found[rule] = rounded(method.attribute(pictures, target=small_nets.TARGET, **options))
    return found


def rounded(tensor: torch.Tensor) -> list[float]:
    """Return the numbers with digits enough for float32 of about one."""
    return [round(float(value), 6) for value in tensor.detach().flatten()]


def main() -> None:
    """Write the golden file."""
    warnings.simplefilter("ignore")  # Captum announces its hooks
    found: dict[str, object] = {"made with": {"torch": torch.__version__, "captum": captum.__version__}}
    found |= {name: record(name) for name in small_nets.NETS}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    small_nets.GOLDEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"{small_nets.GOLDEN}: {small_nets.GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
