"""What all HTTP servers of ours share: who may ask, and how little strangers can take."""
