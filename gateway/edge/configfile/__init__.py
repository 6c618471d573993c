"""Configuration files: read, filled in, validated, each error with its line."""
