"""The status page for browsers: what /statusz shows, as one HTML document that keeps itself up to date."""

from kcm.serving.statuspage.document import ask_page, status_page, wants_html

__all__ = ["ask_page", "status_page", "wants_html"]
