"""Publishing generators on the Hugging Face Hub, or on a server with the same API, and pulling them."""
