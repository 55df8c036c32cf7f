"""How good is a network? Metrics, curves, calibration and intervals in plain NumPy; `judge` puts them together."""
