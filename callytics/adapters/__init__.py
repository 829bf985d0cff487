"""The world outside: stores and servers, behind the ports."""
