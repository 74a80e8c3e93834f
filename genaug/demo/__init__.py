"""``genaug demo``: the main job on the embedded digits."""
