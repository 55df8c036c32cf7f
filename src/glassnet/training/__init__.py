"""Training: the loop, recipes, exact state, and everything between a folder of pictures and a network file."""
