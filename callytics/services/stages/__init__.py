"""What each stage does: read its rows, compute with its model, write its rows. One file a stage."""
