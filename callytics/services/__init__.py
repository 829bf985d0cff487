"""Use cases: what the API, the workers and beat do, without saying who asks."""
