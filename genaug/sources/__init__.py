"""Where samples come from: generators, pools, and what is asked of any source."""
