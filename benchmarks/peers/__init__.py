"""Twofold beside its peers: same weights, same documents, same machine, same run."""
