"""The HorizontalPodAutoscaler controller: scales workloads by metrics (reference: hpa)."""

from controllers.hpa.controller import HorizontalPodAutoscalerController

__all__ = ["HorizontalPodAutoscalerController"]
