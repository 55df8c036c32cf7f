"""YOLO: one look at the picture, a grid of answers: which object is here, how large, how surely."""
