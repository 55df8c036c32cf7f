"""Looking inside: what every layer responds to, and why the network answers as it does."""
