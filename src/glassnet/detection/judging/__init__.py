"""Judging detectors: which found boxes are right, average precision as COCO defines it, and what went wrong."""
