"""Training detectors: the task, the recipes, and what the shared loop starts with."""
