"""Where samples come from: generators, pools, and the interface that every source has."""
