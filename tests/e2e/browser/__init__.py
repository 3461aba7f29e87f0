"""Browser tests; a package, so that the demo and the browser that they share end with their last test."""
