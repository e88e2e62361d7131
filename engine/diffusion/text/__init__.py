"""From a prompt to what cross-attention reads: syntax, tokens, chunks, text encoders."""
