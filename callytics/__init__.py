"""What the API, the workers and beat share; this package imports none of them."""

__version__ = "0.1.0"
