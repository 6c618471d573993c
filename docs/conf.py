"""How Sphinx makes the site; ``docs/build.py`` puts its sources together and calls it."""

from gateway import __version__

project = "Token Gateway"
author = "the authors of Token Gateway"
project_copyright = author
version = release = __version__
extensions = ["myst_parser"]
root_doc = "index"
html_theme = "furo"
html_title = f"Token Gateway {__version__}"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
# furo asks no other machine for anything: the site is read where there is no network
html_theme_options = {"navigation_with_keys": True}
myst_heading_anchors = 5
myst_enable_extensions = ["attrs_inline"]
# a Markdown file's first heading need not be its only one of the first level
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = True
exclude_patterns = []
