"""The HTTP surface: a thin layer over `callytics.services`. It imports no task code and no model library."""
