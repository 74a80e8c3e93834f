"""Published results, measured again; ``run_all.py`` runs all scripts."""
