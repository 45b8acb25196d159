"""What kcm says about itself: log records and metrics, safe to show and cheap to make."""
