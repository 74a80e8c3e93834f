"""Files and folders that genaug writes and reads: whose they are, how they are replaced, what they must hold."""
