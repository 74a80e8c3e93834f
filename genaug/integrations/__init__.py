"""Adapters to libraries that genaug doesn't depend on: import each one by name. Each needs its extra."""
