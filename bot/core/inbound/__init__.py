"""From what people write to what a model is given."""
