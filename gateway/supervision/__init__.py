"""Worker processes and the one that starts, watches, reloads and ends them."""
