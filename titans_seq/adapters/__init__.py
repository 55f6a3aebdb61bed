"""From raw data to tokens and back: what is particular to one kind of sequence."""
