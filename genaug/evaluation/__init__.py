"""Measures of generated samples, on plain arrays."""
