"""AUTOMATIC1111 at the border: the text that it writes into pictures, as a workflow and from one. Needs no torch."""
