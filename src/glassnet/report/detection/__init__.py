"""The report of a detection run: `write_detection_report` makes the page of a `DetectionReport`."""

from glassnet.report.detection.content import DetectionReport, write_detection_report

__all__ = ["DetectionReport", "write_detection_report"]
