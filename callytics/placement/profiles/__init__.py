"""Profiles that are shipped, as data."""
