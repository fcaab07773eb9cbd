"""What is sent, and when: message bytes, envelopes and pauses."""
