"""Blending real and generated samples."""
