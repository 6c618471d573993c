"""What the version before has written, and the scripts of its workers."""
