"""Annotations: which objects are where in a picture, in every format that is common for them."""
