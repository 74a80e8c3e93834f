"""What makes trainings, evaluations and studies of small tables quick."""

import PIL.Image

TREES = 10


def few_modes_and_trees(patch):
    """Two modes per column, fitted to a few rows, and 10 instead of 100 gradient-boosted trees by default."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    patch.setattr("genaug.modalities.scales._FIT_ROWS", 50)
    patch.setattr("genaug.modalities.scales.MODES", 2)
    patch.setitem(HistGradientBoostingClassifier.__init__.__kwdefaults__, "max_iter", TREES)


def no_pictures(patch):
    """Draws none of the pictures of tables, which take longer than a short training: tests of them are in
    ``tests/modalities/test_table.py``."""
    patch.setattr("genaug.modalities.table_preview.draw_preview", lambda *_: PIL.Image.new("RGB", (8, 8)))
