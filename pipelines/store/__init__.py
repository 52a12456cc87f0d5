"""Where vectors, passages, the ledger and the files lie."""
