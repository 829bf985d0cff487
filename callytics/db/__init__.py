"""Tables, one repository each, and the one place where transactions end."""
