"""The classifier: architecture, inference engine, training and evaluation."""
