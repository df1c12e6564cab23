"""Sphinx configuration: ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import warnings

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sklearn.base import BaseEstimator, TransformerMixin

import skmixed

project = "skmixed"
copyright = "The skmixed developers"
version = release = skmixed.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_build",
    "*_table.md",  # included in pages
    "benchmarks",
    "**sg_execution_times.rst",
]
suppress_warnings = [
    "sphinx_gallery.duplicate_filename"
]  # chapters lie in a folder of the examples
templates_path = ["_templates"]
default_role = "py:obj"  # a link if there is a target, else code
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

html_theme = "pydata_sphinx_theme"
html_title = "skmixed"
html_static_path = ["_static"]
html_css_files = ["skmixed.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
}
PAGES_ALONE = (
    "index", "getting_started", "coming_from_lme4", "coming_from_statsmodels",
    "limitations", "performance", "changelog", "contributing", "architecture",
)  # fmt: skip
html_sidebars = {page: [] for page in PAGES_ALONE}  # which has no others to list
html_math_renderer = "mathml"

# ---------------------------------------------------------------------------- API reference

# Methods that all scikit-learn estimators have are documented there.
autosummary_context = {"hidden": {*dir(BaseEstimator), *dir(TransformerMixin)}}
autodoc_typehints = "none"  # parameters say their types in words
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
toc_object_entries_show_parents = "hide"

# ---------------------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": ["../examples", "../examples/course"],
    "gallery_dirs": ["auto_examples", "course"],
    "copyfile_regex": r"index\.rst",  # the course has an index of its own
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skmixed",),
    "reference_url": {"skmixed": None},
    "abort_on_example_error": True,
    "download_all_examples": False,
    "capture_repr": (),
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "thumbnail_size": (400, 280),
}
# Examples print what matters; matplotlib's canvas without a screen is no news.
warnings.filterwarnings("ignore", message=".*non-interactive.*")

# ------------------------------------------------------------------------------------- math


def visit_math(self, node):
    """Write MathML, which browsers draw by themselves, without a script."""
    self.body.append(tex2mathml(node.astext()))
    raise SkipNode


def visit_math_block(self, node):
    code = node.astext()
    if r"\\" in code:
        code = rf"\begin{{aligned}}{code}\end{{aligned}}"
    # Not as_block=True, which puts the subscript of a hat below its letter.
    formula = tex2mathml(code).replace("<math", '<math display="block"', 1)
    self.body.append(f'<div class="formula">{formula}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
