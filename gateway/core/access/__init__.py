"""Who is calling, and whether they are let in."""
