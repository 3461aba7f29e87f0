"""What runs by itself: billing and supply ticks, notices, order polling, anomaly detection, sealing."""
