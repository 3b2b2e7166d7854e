"""One room at a time, no IO."""
