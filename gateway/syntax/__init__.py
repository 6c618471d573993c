"""Small readers without an opinion: targets, forms, encodings, URLs."""
