"""The operator's console: pages that the server renders whole, with no script and nothing unescaped."""
