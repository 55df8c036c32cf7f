"""Detection: from boxes to detectors. The arithmetic of boxes is `glassnet.boxes`, and can be had from here."""

from __future__ import annotations

from glassnet.boxes import (
    absolute_to_relative,
    box_area,
    box_convert,
    box_iou,
    clip_boxes_to_image,
    complete_box_iou,
    cxcywh_to_xyxy,
    distance_box_iou,
    generalized_box_iou,
    paired_box_iou,
    paired_complete_box_iou,
    relative_to_absolute,
    remove_small_boxes,
    xywh_to_xyxy,
    xyxy_to_cxcywh,
    xyxy_to_xywh,
)
from glassnet.detection.suppression import batched_nms, diou_nms, nms, soft_nms

__all__ = [
    "absolute_to_relative",
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "cxcywh_to_xyxy",
    "diou_nms",
    "distance_box_iou",
    "generalized_box_iou",
    "nms",
    "paired_box_iou",
    "paired_complete_box_iou",
    "relative_to_absolute",
    "remove_small_boxes",
    "soft_nms",
    "xywh_to_xyxy",
    "xyxy_to_cxcywh",
    "xyxy_to_xywh",
]
