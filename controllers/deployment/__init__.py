"""Deployment: one template after another, rolled out through replica sets within bounds."""

from controllers.deployment.controller import DeploymentController

__all__ = ["DeploymentController"]
