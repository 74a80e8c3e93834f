"""Labels for generators trained without them: by a classifier and rejection, or by matching categories to classes."""
