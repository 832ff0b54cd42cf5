"""Timings of cnnbook side by side with PyTorch and with the book's slower versions."""
