"""Files and folders that genaug writes and reads: who may write, atomic replacement, and the formats of the files."""
