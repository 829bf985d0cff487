"""What goes over the wire: the customer's field names, to the letter."""
