"""Does it help, and are its checks right? Studies on real and simulated data."""
