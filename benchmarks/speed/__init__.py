"""How fast genaug loads and trains."""
