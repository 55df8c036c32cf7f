"""What happens to the weights: kept as a network file while training, calibrated on validation at the end."""

from __future__ import annotations

from dataclasses import asdict

from torch import Tensor

from glassnet import card as network_file
from glassnet.card import Card
from glassnet.evaluation.calibration import fit_temperature, softmax
from glassnet.evaluation.curves import best_f1_thresholds
from glassnet.evaluation.judge import scores
from glassnet.models.network import Network
from glassnet.training.checkpoint import Learner
from glassnet.training.prepare import Prepared
from glassnet.training.run import Run


def describe(prepared: Prepared, learner: Learner) -> Card:
    """Write on the network's card how it was made."""
    card, index, now = prepared.network.card, prepared.index, learner.counters
    card.recipe = asdict(prepared.recipe)
    counts = index.counts().sum(axis=0).tolist()
    card.data = {
        "name": index.name,
        "fingerprint": index.fingerprint,
        "counts": dict(zip(("train", "validation", "test"), counts, strict=True)),
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


def finish(run: Run, prepared: Prepared, learner: Learner, device: str) -> Network:
    """Write the last weights and the chosen network, calibrated, and return that network.

    Calibration looks at the validation pictures only.
    """
    weights = {name: tensor.detach().cpu().clone() for name, tensor in chosen(prepared, learner).items()}
    card = describe(prepared, learner)
    network_file.save(run.path / "last.safetensors", learner.judged.state_dict(), card)
    network = Network(prepared.network.module.cpu().eval(), card)
    network.module.load_state_dict(weights)
    calibrate(network, prepared, learner, device)
    network.save(run.network_path)
    return network


def calibrate(network: Network, prepared: Prepared, learner: Learner, device: str) -> None:
    """Fit the card's temperature, and a threshold for each class, to the validation pictures, where there are some.

    Thresholds are for probabilities at that temperature, each the one with the best F1 of its class against the rest.
    What the network said when it was validated is enough, unless it is to be judged with mirrored pictures too.
    """
    if not learner.answers:
        return
    logits, labels = learner.answers["logits"].numpy(), learner.answers["labels"].numpy()
    if prepared.recipe.tta:
        said = scores(network, prepared.pictures, prepared.index.select("validation"), device=device, tta=True)
        logits, labels = said.logits, said.labels
    network.card.temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits, network.card.temperature)
    network.card.thresholds = best_f1_thresholds(probabilities, labels, network.classes)
