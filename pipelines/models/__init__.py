"""The compute seam: texts in, floats out; knows batches, nothing of clients."""
