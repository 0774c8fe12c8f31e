"""Training data: dataset, filters, batches, augmentation."""
