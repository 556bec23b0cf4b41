"""How Sphinx makes the documentation site; called by scripts/docs on a copy of the tracked files.

Pages lie where they lie in the repository, so a link works here and there alike: one to a page
leads to the page, one to any other file downloads it. The code is read, never imported.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHILDREN = re.compile(r"^\.\. toctree::\n(?: +:.*\n)*\n((?:(?: +/.*)?\n)+)", flags=re.MULTILINE)
SECTION = re.compile(r"docs/(\w+)\.md (\d+(?:\.\d+)?)")

project = "streampetr_ros"
root_doc = "README"
include_patterns = ["*.md", "*.rst", "docs/*.md", "models/*.md", "code/**"]
extensions = ["autoapi.extension", "myst_parser", "sphinx.ext.napoleon"]
default_role = "code"  # `names` in docstrings are code, as in Markdown
suppress_warnings = [
    "autoapi.python_import_resolution",  # generated messages are not there
    "ref.python",  # a name in two modules
]

autoapi_add_toctree_entry = False
autoapi_dirs = [str(ROOT / "streampetr_ros")]
autoapi_ignore = ["*/tools/verbs/*"]  # streampetr VERB --help
autoapi_options = ["members", "undoc-members", "show-module-summary"]
autoapi_root = "code"
myst_heading_anchors = 4
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_copy_source = False
html_extra_path = ["index.html"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_static_path = ["static"]
html_theme = "furo"
html_title = "streampetr_ros"


def setup(app: Sphinx) -> None:
    """Hear of every page that is read."""
    app.connect("source-read", complete)


def complete(_: Sphinx, name: str, source: list[str]) -> None:
    """Put the table of contents under the front page, links of the changelog to pages.

    Pages of the code are taken out of the contents: three hundred modules in the margin of every
    page would triple the time of a build.
    """
    if name == root_doc:
        source[0] += "\n" + (HERE / "contents.txt").read_text(encoding="utf-8")
    elif name == "CHANGELOG":
        source[0] = re.sub(r"<(docs/\w+)\.md", r"<\1.html", source[0])
    elif name.startswith(autoapi_root):
        text = CHILDREN.sub(children, source[0])
        up = "../" * name.count("/")
        source[0] = ":orphan:\n\n" + SECTION.sub(lambda match: section(match, up), text)


def children(entries: re.Match[str]) -> str:
    """Turn the entries of a table of contents into a list of links."""
    return "\n".join(f"* :doc:`{child}`" for child in entries[1].split()) + "\n\n"


def section(reference: re.Match[str], up: str) -> str:
    """Turn the number of a section in a docstring into a link."""
    page, number = reference.groups()
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    heading = re.search(rf"^#+ ({re.escape(number)}\.? .+)$", text, flags=re.MULTILINE)
    if heading is None:  # a test says so
        return reference[0]
    anchor = re.sub(r"[^\w\s-]", "", heading[1].lower()).replace(" ", "-")
    return f"`{reference[0]} <{up}docs/{page}.html#{anchor}>`__"
