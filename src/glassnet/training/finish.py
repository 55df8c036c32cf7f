"""What happens to the weights: kept as a network file while training, calibrated on validation at the end."""

from __future__ import annotations

from dataclasses import asdict

from torch import Tensor

from glassnet import card as network_file
from glassnet.card import Card
from glassnet.models.base import BaseNetwork
from glassnet.training.checkpoint import Learner
from glassnet.training.prepared import Prepared
from glassnet.training.run import Run


def describe(prepared: Prepared, learner: Learner) -> Card:
    """Write on the network's card how it was made."""
    card, index, now = prepared.network.card, prepared.index, learner.counters
    card.recipe = asdict(prepared.recipe)
    card.data = {
        "name": index.name,
        "fingerprint": index.fingerprint,
        "counts": prepared.counts(),
    }
    card.metrics = {"step": now.best_step if now.best_score is not None else now.step}
    if now.best_score is not None:
        card.metrics[f"validation_{prepared.recipe.score}"] = abs(now.best_score)  # loss is scored by its negative
    return card


def chosen(prepared: Prepared, learner: Learner) -> dict[str, Tensor]:
    """Return the weights that the recipe selects: the best on validation, or the last."""
    if prepared.recipe.select == "best" and learner.best is not None:
        return learner.best
    return learner.judged.state_dict()


def keep(run: Run, prepared: Prepared, learner: Learner) -> None:
    """Write the best network so far, so that it can be used while the training goes on."""
    if learner.best is not None and learner.kept != learner.counters.best_step:
        network_file.save(run.network_path, learner.best, describe(prepared, learner))
        learner.kept = learner.counters.best_step


def finish(run: Run, prepared: Prepared, learner: Learner, device: str) -> BaseNetwork:
    """Write the last weights and the chosen network, calibrated, and return that network.

    Calibration looks at the validation pictures only.
    """
    weights = {name: tensor.detach().cpu().clone() for name, tensor in chosen(prepared, learner).items()}
    card = describe(prepared, learner)
    network_file.save(run.path / "last.safetensors", learner.judged.state_dict(), card)
    network = type(prepared.network)(prepared.network.module.cpu().eval(), card)
    network.module.load_state_dict(weights)
    prepared.calibrate(network, learner, device)
    network.save(run.network_path)
    return network
