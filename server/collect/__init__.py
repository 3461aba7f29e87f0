"""The only bytes: ports, one poller a bus, the reading schedule, and the supervisor with its own event loop."""
