"""Hospitals train a logistic regression together; each hospital's table stays in its own file."""
