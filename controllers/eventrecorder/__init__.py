"""The event recorder: what controllers tell people, as Events in the API."""

from controllers.eventrecorder.controller import EventRecorder

__all__ = ["EventRecorder"]
