"""Explanations as figures: placed on their picture, with a scale, the class and the score in words."""
