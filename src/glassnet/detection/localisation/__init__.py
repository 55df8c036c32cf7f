"""Classification with localisation: which one object a picture shows and where, from one head."""

from __future__ import annotations

from glassnet.detection.localisation.localiser import Localiser
from glassnet.detection.localisation.network import LocalisationNetwork
from glassnet.detection.localisation.task import Localisation

__all__ = ["Localisation", "LocalisationNetwork", "Localiser"]
