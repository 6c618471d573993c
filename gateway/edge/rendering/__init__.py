"""Answers as bytes: JSON, redirects, pages."""
