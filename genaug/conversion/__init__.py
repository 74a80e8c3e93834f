"""Converting other libraries' files: pickled networks are read without unpickling them."""
