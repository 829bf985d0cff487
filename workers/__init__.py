"""Worker processes: pinned to a device, models loaded and warm before a message is taken."""
