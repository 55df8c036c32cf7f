"""Sliding windows: any classifier as a detector, by one pass over the whole picture or crop by crop."""

from __future__ import annotations

from glassnet.detection.windows.detector import WindowDetector

__all__ = ["WindowDetector"]
