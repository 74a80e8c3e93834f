"""Measurements on tables."""
