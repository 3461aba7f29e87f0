"""Messages whose sender is proven: keys and secrets from files, signatures over raw bytes, fields read after them."""
