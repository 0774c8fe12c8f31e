"""From a model and features to words."""
