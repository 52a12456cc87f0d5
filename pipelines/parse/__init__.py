"""Files in, text with its structure out; every parse in a confined child process."""
