"""Networks, objectives and augmentation for plugin authors, and the small classifier of the evaluations."""
