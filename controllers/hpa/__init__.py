"""The HorizontalPodAutoscaler controller: scales workloads by metrics (reference: hpa)."""
