"""Optimisers: which parameters learn how fast, and Muon beside PyTorch's own SGD and AdamW.

Weight decay is for the weights of convolutions and dense layers only: on biases and norms it does not regularise, it
only shrinks what the network needs (Jia et al. 2018, arXiv:1807.11205). Layers nearer the input may learn slower
(discriminative learning rates, Howard and Ruder 2018, arXiv:1801.06146).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

from glassnet.training.recipes import Recipe

OPTIMISERS = ("sgd", "adamw", "muon")
_PLAIN_MODULES = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.Embedding)


def parameter_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Sort the parameters of `module` into optimiser groups, in the module's own order of parameters.

    Each group has `params`, `names`, `scale` (its learning rate as a factor of the recipe's), `weight_decay` and
    `matrix` (whether it holds weights of convolutions and dense layers, which Muon can orthogonalise).
    """
    scales = stage_scales(module, recipe.layer_decay)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter, owner in _owned_parameters(module):
        matrix = parameter.ndim >= 2 and not isinstance(owner, _PLAIN_MODULES)
        scale = next((scale for prefix, scale in scales.items() if name.startswith(prefix)), 1.0)
        decay = recipe.weight_decay if matrix else 0.0
        empty: dict[str, Any] = {
            "params": [], "names": [], "scale": scale, "weight_decay": decay, "matrix": matrix
        }  # fmt: skip
        group = groups.setdefault((scale, matrix), empty)
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def stage_scales(module: nn.Module, layer_decay: float) -> dict[str, float]:
    """Return the learning-rate factor of each stage of `module.body` by its name prefix; the head's factor is 1.

    With `layer_decay` 0.7 the stage nearest the head learns at 0.7 of the rate, the one before it at 0.49, and so on.
    Stages without parameters (pooling) do not count. Empty for a module without a `body` of stages.
    """
    body = getattr(module, "body", None)
    if not isinstance(body, nn.Module) or layer_decay == 1.0:
        return {}
    names = [name for name, stage in body.named_children() if any(True for _ in stage.parameters())]
    return {f"body.{name}.": layer_decay ** (len(names) - place) for place, name in enumerate(names)}


def _owned_parameters(module: nn.Module) -> Iterable[tuple[str, nn.Parameter, nn.Module]]:
    """Yield each parameter that trains once, with its full name and the module that holds it."""
    seen: set[int] = set()
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{prefix}.{name}" if prefix else name, parameter, owner


def build_optimisers(module: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return the recipe's optimisers for `module`: one, or Muon for the matrices and SGD for everything else.

    Every group carries `peak`, the learning rate that the schedule's factor multiplies.
    """
    groups = parameter_groups(module, recipe)
    if recipe.optimiser != "muon":
        return [_plain(_with_peak(groups, recipe.learning_rate), recipe)] if groups else []
    # The classifier's matrix maps features to classes; Muon's authors leave the last layer to the other optimiser.
    matrices, others = _split_head(module, groups)
    optimisers: list[torch.optim.Optimizer] = []
    if matrices:
        optimisers.append(Muon(_with_peak(matrices, recipe.muon_learning_rate), momentum=recipe.muon_momentum))
    if others:
        optimisers.append(_plain(_with_peak(others, recipe.learning_rate), recipe))
    return optimisers


def set_learning_rates(optimisers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Set every group's rate to its peak times `factor`."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor


def _with_peak(groups: list[dict[str, Any]], rate: float) -> list[dict[str, Any]]:
    return [{**group, "peak": rate * group["scale"], "lr": rate * group["scale"]} for group in groups]


def _split_head(module: nn.Module, groups: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split `groups` into the matrices of the body, and everything else."""
    has_head = isinstance(getattr(module, "head", None), nn.Module)
    matrices: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for group in groups:
        pairs = list(zip(group["names"], group["params"], strict=True))
        inner = [pair for pair in pairs if group["matrix"] and not (has_head and _in_a_head(pair[0]))]
        outer = [pair for pair in pairs if not any(pair is other for other in inner)]
        for part, target in ((inner, matrices), (outer, others)):
            if part:
                target.append({**group, "names": [n for n, _ in part], "params": [p for _, p in part]})
    return matrices, others


def _in_a_head(name: str) -> bool:
    """Whether a parameter is of the module's head, or of an auxiliary one (`auxiliary.inception4a.head.weight`)."""
    return name.startswith("head.") or (name.startswith("auxiliary.") and ".head." in name)


def _plain(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """Build SGD or AdamW; the fused versions run one kernel over all parameters, worth 10 % of a small net's step."""
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    fused = devices <= {"cpu", "cuda"}
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=fused)
    nesterov = recipe.nesterov and recipe.momentum > 0
    sgd = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, fused=fused)
    if recipe.momentum > 0:
        # Zeros give the same first step as no buffer; but the fused kernel wants all of a group's buffers or none,
        # and layers that thaw later would come without.
        for parameter in (parameter for group in groups for parameter in group["params"]):
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised: every step of a weight matrix has all its singular values near 1.

    Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon); the Newton-Schulz iteration is theirs, after
    Bernstein and Newhouse 2024 (arXiv:2409.20325). A convolution's weight (out, in, h, w) counts as the matrix
    (out, in*h*w). PyTorch's own `torch.optim.Muon` (since 2.9) takes matrices only. What differs here: the step is
    scaled by sqrt(max(1, rows / columns)), as in the authors' code, and weight decay is decoupled.

    groups: dicts with `params` of at least 2 dimensions and `weight_decay`; `lr` is the step's spectral norm.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float = 0.02, momentum: float = 0.9) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with Nesterov momentum; `closure`, if given, is called first and its value returned."""
        value = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)
        return value

    def _step(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        velocity = state["momentum_buffer"].lerp_(parameter.grad, 1.0 - group["momentum"])
        step = torch.lerp(parameter.grad, velocity, group["momentum"]).flatten(1)  # (rows, columns)
        scale = max(1.0, step.shape[0] / step.shape[1]) ** 0.5
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(orthogonalise(step).view(parameter.shape), alpha=-group["lr"] * scale)


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return `matrix` (rows, columns) with its singular values pushed to about 1 (0.7 to 1.2), its directions kept.

    Newton-Schulz: the odd polynomial 3.4445 x - 4.7750 x^3 + 2.0315 x^5, applied `iterations` times to the singular
    values. With X the matrix and G = X X^T, one iteration is X <- P X, where P = 3.4445 - 4.7750 G + 2.0315 G^2, and
    takes G to P G P, for P and G commute. So all iterations run on the small square G, their P are multiplied up, and
    the long matrix itself is touched twice: 1.3x to 2.8x faster for the matrices of convolutions.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    product: Tensor = torch.eye(len(gram), dtype=x.dtype, device=x.device)
    for iteration in range(iterations):
        polynomial = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        polynomial.diagonal().add_(3.4445)
        product = polynomial @ product if iteration else polynomial
        if iteration < iterations - 1:
            gram = polynomial @ gram @ polynomial
    out: Tensor = product @ x
    return out.T if tall else out
