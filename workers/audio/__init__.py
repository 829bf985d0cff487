"""From a recording of any kind to channels that models can read."""
