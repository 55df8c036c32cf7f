"""Are the explanations right? Curves, pointing and a sanity check for methods on one's own network and pictures."""

from glassnet.explain.judging.judge import METHODS, judge
from glassnet.explain.judging.verdict import Estimate, Row, Verdict

__all__ = ["METHODS", "Estimate", "Row", "Verdict", "judge"]
