"""Measurements behind the docs' figures: ``papers`` and ``speed``, the ``studies``, and what they have in ``common``.

A script is run by its path, as in ``python benchmarks/speed/loader.py``, and imports the others as
``benchmarks.common.record``. That works wherever genaug is installed from its checkout in editable mode, which puts the
root of the repository on Python's path; ``make`` does so. Records and figures are in ``results``.
"""
