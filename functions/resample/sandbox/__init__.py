"""Processes that may do nothing but their work."""
