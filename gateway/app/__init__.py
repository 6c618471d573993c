"""Composition root: what a process is made of; nothing else names the concrete classes of edge and http."""
