"""Links between chapters, library and tests, on small texts and trees."""

import ast
import importlib
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from sphinx import addnodes

from cnnbook import links
from cnnbook.links import Book, Place, read_book
from cnnbook.weave import read_chapter, toc_chapters

ROOT = Path(__file__).resolve().parent.parent


def chapter(text):
    """A chapter's text, with "cell:" for the opening of a code cell."""
    return textwrap.dedent(text).replace("cell:", "```{code-cell}")


def small(**texts):
    """A book of small chapters, in their order."""
    book = Book(chapters=list(texts))
    for name, text in texts.items():
        links.add_chapter(book, name, read_chapter(f"{name}.md", chapter(text)))
    return book


ONE = '''\
    # One

    $$
    a
    $$ (before)

    ## First

    $$
    b
    $$ (first)

    See {eq}`elsewhere`.

    ```python
    ## not a heading
    ```

    cell:
    #| default_exp one
    ```

    cell:
    #| export
    import numpy as np
    ```

    cell:
    #| export
    def near(x):
        """Return x."""
        return np.abs(x)
    ```

    ### Deeper

    cell:
    #| export
    def above(x):
        """Return x."""
        return near(x)
    ```

    ```{math}
    :label: deep
    c
    ```

    cell:
    #| export
    class Both:
        """Both, eqs. (first), (before) and (deep)."""

        def walk(self):
            """Walk."""

        def _hidden(self):
            """Hide."""

        def silent(self):
            pass
    ```

    ## Last

    cell:
    #| export
    LIMIT, _SECRET = 3, 4
    ```

    cell:
    #| export
    class More(Both):
        """More."""
    ```
'''
DOOR = """\
    # Door

    cell:
    #| default_exp __init__
    ```

    cell:
    #| export
    PUBLIC = {"one": "near", "two": "near"}
    ```

    cell:
    #| export
    def __getattr__(name):
        "Fetch."
    ```
"""


def two(code="", words=""):
    """A chapter after `ONE` that exports near as well, with some code."""
    return textwrap.dedent("""\
        # Two

        cell:
        #| default_exp two
        ```

        cell:
        #| export
        def near(x):
            "Return x."
        ```
        """) + (f"\ncell:\n{code}\n```\n" if code else "")


def three(code):
    return f"# Three\n\ncell:\n{code}\n```\n"


def test_place_of_a_definition():
    book = small(one=ONE)
    near = book.places["one", "near"]
    assert (near.chapter, near.section, near.kind) == ("one", "First", "function")
    assert near.equations == ("first", "elsewhere")
    assert not near.named
    assert near.dotted == "cnnbook.one.near"
    assert {"np", "x"} <= near.uses


def test_section_without_equations_takes_those_above_it():
    above = small(one=ONE).places["one", "above"]
    assert above.section == "Deeper"
    assert above.equations == ("first", "elsewhere")


def test_docstring_knows_its_equations_better():
    both = small(one=ONE).places["one", "Both"]
    assert both.equations == ("first", "before", "deep")
    assert both.named
    assert both.methods == ("walk",)


def test_new_section_starts_without_equations():
    limit = small(one=ONE).places["one", "LIMIT"]
    assert (limit.section, limit.kind, limit.equations) == ("Last", "constant", ())
    assert limit.cell == "code"


def test_private_names_have_no_entry():
    book = small(one=ONE, door=DOOR)
    assert not book.places["one", "_SECRET"].documented
    assert book.places["one", "LIMIT"].documented
    assert book.places["__init__", "__getattr__"].documented
    assert not book.places["__init__", "PUBLIC"].documented


def test_equations_that_are_known():
    assert small(one=ONE).equations == {"before", "first", "deep"}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("eq. (a)", ["a"]),
        ("Eqs. (a), (b-c) and (d).", ["a", "b-c", "d"]),
        ("eq. (a), in loops (b)", ["a"]),
        ("the equation (a)", []),
        ("seq. (a)", []),
    ],
)
def test_named_equations(text, labels):
    assert links.named_equations(text) == labels


def test_own_definition_first():
    book = small(one=ONE, two=two("from cnnbook.one import above"), door=DOOR)
    assert book.target("near", "two") == "cnnbook.two.near"
    assert book.target("near", "one") == "cnnbook.one.near"
    assert book.target("near()", "one") == "cnnbook.one.near"
    assert book.target("above", "two") == "cnnbook.one.above"


def test_import_before_the_newest():
    book = small(
        one=ONE, two=two(), three=three("from cnnbook.one import near"), door=DOOR
    )
    assert book.target("near", "three") == "cnnbook.one.near"
    book = small(
        one=ONE, two=two(), three=three("from cnnbook.one import near as n"), door=DOOR
    )
    assert book.target("n", "three") == "cnnbook.one.near"


def test_newest_of_the_chapters_before():
    book = small(one=ONE, two=two(), three=three("1"))
    assert book.target("near()", "three") == "cnnbook.two.near"
    assert book.target("LIMIT", "three") == "cnnbook.one.LIMIT"
    assert book.target("Both", "three") == "cnnbook.one.Both"
    book = small(one=ONE, three=three("1"), two=two(), door=DOOR)
    assert book.target("near()", "three") == "cnnbook.one.near"  # not the door's
    book = small(three=three("1"), one=ONE)
    assert book.target("LIMIT", "three") is None


def test_plain_words_are_not_guessed():
    """A word in small letters links only if the code or the front door says so."""
    book = small(one=ONE, two=two(), three=three("1"))
    assert book.target("near", "three") is None
    assert book.target("above", "three") is None


def test_front_door_answers_last_and_alone_on_pages_without_code():
    book = small(one=ONE, two=two(), three=three("1"), door=DOOR)
    assert book.target("near", "three") == "cnnbook.two.near"
    assert book.target("near", "glossary") == "cnnbook.two.near"
    assert book.target("LIMIT", "glossary") is None
    assert book.target("cnnbook.near", "one") == "cnnbook.two.near"


@pytest.mark.parametrize(
    "code",
    [
        "near = 1",
        "for near in (1, 2): pass",
        "def f(near): return near",
        "f = lambda near: near",
        "def near(): pass",
        "[0 for near in (1, 2)]",
    ],
)
def test_variables_are_not_linked(code):
    book = small(one=ONE, two=two(), three=three(code), door=DOOR)
    assert book.target("near", "three") is None
    assert book.target("near()", "three") is None


def test_constants_and_methods_are_no_variables():
    book = small(one=ONE, three=three("class Z:\n    def LIMIT(self): pass"))
    assert book.target("LIMIT", "one") == "cnnbook.one.LIMIT"
    assert book.target("LIMIT", "three") == "cnnbook.one.LIMIT"


def test_what_comes_from_elsewhere_is_not_ours():
    book = small(one=ONE, three=three("import numpy as np\nnp.LIMIT"))
    assert book.target("LIMIT", "three") is None
    book = small(one=ONE, three=three("from cnnbook import one\none.LIMIT"))
    assert book.target("LIMIT", "three") == "cnnbook.one.LIMIT"


def test_names_with_points():
    book = small(one=ONE, two=two(), three=three("import cnnbook as cb"), door=DOOR)
    assert book.target("one.near", "three") == "cnnbook.one.near"
    assert book.target("cb.near", "three") == "cnnbook.two.near"
    assert book.target("cb.one.near", "three") == "cnnbook.one.near"
    assert book.target("cnnbook.one.near", "three") == "cnnbook.one.near"
    assert book.target("cnnbook.one", "three") == "cnnbook.one"
    assert book.target("Both.walk", "three") == "cnnbook.one.Both.walk"
    assert book.target("More.walk()", "three") == "cnnbook.one.Both.walk"
    for text in ("Both._hidden", "Both.silent", "Both.a.b", "one.nothing", "x.near"):
        assert book.target(text, "three") is None, text
    for text in ("cnnbook", "cb", "one", "near(x)", "near + 1", "", "_SECRET"):
        assert book.target(text, "three") is None, text


TESTS = """\
import cnnbook as cb
from cnnbook import one
from cnnbook.one import Both as B

CASES = [B]


def helper(x):
    return one.above(x)


def test_door():
    cb.near(1)


def test_module():
    helper(1)


@pytest.mark.parametrize("module", [one])
def test_parameter(module):
    module.near(2)


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    pass


class TestMore:
    def test_inner(self):
        one.LIMIT
"""


def who_tests(book, module, name):
    return [test for _, test in book.tests.get((module, name), [])]


def test_who_mentions_what():
    book = small(one=ONE, two=two(), door=DOOR)
    links.add_tests(book, "test_all", TESTS)
    assert who_tests(book, "two", "near") == ["test_door"]
    assert who_tests(book, "one", "near") == ["test_parameter"]
    assert who_tests(book, "one", "above") == ["test_module"]
    assert who_tests(book, "one", "Both") == ["test_cases"]
    assert who_tests(book, "one", "LIMIT") == ["TestMore"]
    assert who_tests(book, "one", "More") == []


def test_helper_is_tested_through_its_users():
    book = small(one=ONE)
    links.add_tests(book, "test_one", "from cnnbook.one import above\n"
                    "def test_above():\n    above(1)\n")  # fmt: skip
    near, above = book.places["one", "near"], book.places["one", "above"]
    assert links.tested_through(book, above) == [above]
    assert links.tested_through(book, near) == [above]
    assert links.tested_through(book, book.places["one", "LIMIT"]) == []
    line = links.origin(book, near)
    assert "Tested through :py:obj:`above <cnnbook.one.above>`" in line


def test_line_of_an_entry():
    book = small(one=ONE)
    both = book.places["one", "Both"]
    assert links.origin(book, both) == (
        "Derived in :doc:`one`, :ref:`one:Deeper`, :eq:`first`, :eq:`before`, "
        ":eq:`deep`."
    )
    tests = "from cnnbook.one import near\n" + "".join(
        f"def test_{k}():\n    near({k})\n" for k in range(5)
    )
    links.add_tests(book, "test_zero", tests.replace("test_", "test_z"))
    links.add_tests(book, "test_one", tests)
    line = links.origin(book, book.places["one", "near"], most=2)
    assert line.startswith("Explained in :doc:`one`, :ref:`one:First`, beside :eq:`f")
    assert ":eq:`elsewhere`" not in line  # nobody has such an equation
    assert "`test_0 <_tests/test_one.html#test_0>`__, `test_1 <" in line
    assert line.endswith(" and `8 more <_tests/test_one.html>`__.")


def test_equations_in_docstrings_become_links():
    app = SimpleNamespace(cnnbook_book=small(one=ONE))
    lines = ["Return x, eq. (first).", "", "Not (first), nor eq. (unknown)."]
    links.add_origin(app, "method", "cnnbook.one.Both.walk", None, {}, lines)
    assert lines == [
        "Return x, eq. :eq:`first`.",
        "",
        "Not (first), nor eq. (unknown).",
    ]
    lines = ["Return x."]
    links.add_origin(app, "function", "cnnbook.one.near", None, {}, lines)
    assert lines[2] == ".. container:: origin"
    lines = ["All of it."]
    links.add_origin(app, "module", "cnnbook.one", None, {}, lines)
    assert "Chapter: :doc:`one`." in lines


def test_line_of_a_constant():
    place = Place("LIMIT", "one", "one", "", "constant", cell="LIMIT")
    assert links.constant_line(3, place) == "The constant ``3``."
    assert links.constant_line((1, "a"), place) == "The constant ``(1, 'a')``."
    for value in ({}, "x" * 99, "`", Path("/home")):
        line = links.constant_line(value, place)
        assert line.startswith(f"A constant, of type ``{type(value).__name__}``;")
        assert "<_modules/cnnbook/one.html#cell-LIMIT>" in line


def tree(*children):
    """A document with one section and some nodes in it."""
    document = new_document("three")
    title = nodes.title("", "", nodes.Text("Layers and "), nodes.literal("", "LIMIT"))
    document += nodes.section("", title, *children)
    return document


def sphinx(book, docname):
    """As much of a Sphinx application as the handlers ask for."""
    env = SimpleNamespace(docname=docname)
    return SimpleNamespace(cnnbook_book=book, env=env)


def linked(document):
    found = document.findall(addnodes.pending_xref)
    return [(link.get("reftarget"), link.astext()) for link in found]


def test_names_in_the_text_become_links():
    text = nodes.paragraph("", "", nodes.literal("", "LIMIT"), nodes.Text(" LIMIT"))
    document = tree(text, nodes.paragraph("", "", nodes.literal("", "nothing")))
    links.link_names(sphinx(small(one=ONE, three=three("1")), "three"), document)
    assert linked(document) == [("cnnbook.one.LIMIT", "LIMIT")]
    link = next(document.findall(addnodes.pending_xref))
    assert link["refwarn"]
    assert (link["refdomain"], link["reftype"]) == ("py", "obj")
    assert isinstance(link[0], nodes.literal)
    assert "api" in link[0]["classes"]


def test_no_links_in_headings_links_code_and_entries():
    app = sphinx(small(one=ONE, three=three("1")), "three")
    said = nodes.literal("", "LIMIT")
    document = tree(
        nodes.paragraph("", "", nodes.reference("", "", said.deepcopy())),
        nodes.paragraph("", "", addnodes.pending_xref("", said.deepcopy())),
        nodes.term("", "", said.deepcopy()),
        nodes.literal_block("", "LIMIT"),
    )
    links.link_names(app, document)
    assert linked(document) == [(None, "LIMIT")]  # the one that was there
    document = tree(addnodes.desc("", nodes.paragraph("", "", said.deepcopy())))
    links.link_names(app, document)
    assert linked(document) == []


def test_marks_of_cells_get_a_second_link():
    marks = []
    for name in ("near", "_SECRET", "imports"):
        mark = nodes.paragraph("", "exported to cnnbook.one", classes=["exported"])
        marks.append(nodes.container("", mark, ids=["cell", name]))
    document = tree(*marks)
    links.mark_entries(sphinx(small(one=ONE), "one"), document)
    assert linked(document) == [("cnnbook.one.near", "API")]


def test_terms_of_a_glossary():
    text = "# G\n\n```{glossary}\n:sorted:\n\nlayer\n  A.\n\nfilter\nbank\n  W.\n```\n"
    assert links.read_terms(text) == {
        "layer": "layer",
        "filter": "filter",
        "bank": "filter",
    }
    assert links.read_terms("# No glossary") == {}


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Layers", ["layer"]),
        ("A bank of filters", ["filter"]),
        ("Layered", []),
        ("Multi-layer", []),
        ("Batch norm", ["batch normalization"]),
        ("In a batch", ["batch"]),
    ],
)
def test_terms_in_headings(title, found):
    terms = {"layer": "layer", "filter": "filter", "bank": "filter", "batch": "batch"}
    terms["batch norm"] = "batch normalization"
    assert links.terms_in(title, terms) == found


def test_index_entries_once_for_a_term_and_a_section():
    document = tree()
    for _ in range(2):
        xref = addnodes.pending_xref(
            "", nodes.inline("", "filters"), reftype="term", reftarget="filter"
        )
        box = nodes.section("", nodes.paragraph("", "", nodes.Text("layer"), xref))
        document[0] += box  # as an exercise's: without a heading
    numbers = iter(range(9))
    document.settings.env = SimpleNamespace(
        docname="three",
        app=SimpleNamespace(cnnbook_terms={"filter": "filter", "layer": "layer"}),
        new_serialno=lambda _: next(numbers),
    )
    links.IndexTerms(document).apply()
    entries = [e for n in document.findall(addnodes.index) for e in n["entries"]]
    where = "Layers and LIMIT"
    assert [entry[1] for entry in entries] == [f"layer; {where}", f"filter; {where}"]
    targets = {i for n in document.findall(nodes.target) for i in n["ids"]}
    assert targets == {entry[2] for entry in entries}


def test_listing_of_tests_has_a_place_for_each():
    text = "import a\n\n\n@mark\ndef test_x():\n    pass\n\n\ndef helper():\n    pass\n"
    html = '<div class="highlight"><pre><span></span>' + text + "</pre></div>"
    body = links.listing("test_a.py", html, ast.parse(text), "one")
    assert '<span class="test" id="test_x"></span>@mark\ndef test_x' in body
    assert 'id="helper"' not in body
    assert body.startswith("<h1>test_a.py</h1>")
    assert '<a href="../one.html">one</a>' in body


# The book itself.


@pytest.fixture(scope="module")
def book():
    return read_book(ROOT)


def test_entries_are_what_the_modules_export(book):
    for module in set(book.modules) - {"__init__"}:
        exported = importlib.import_module(f"cnnbook.{module}").__all__
        ours = [p for p in book.places.values() if p.module == module]
        assert {p.name for p in ours if p.documented} == set(exported), module


def test_everything_of_the_parts_is_tested(book):
    order = toc_chapters(ROOT / "_toc.yml")
    core = set(order[: order.index("plots")])
    untested = [
        place.dotted
        for place in book.places.values()
        if place.documented
        and place.chapter in core
        and not links.tested_through(book, place)
    ]
    assert untested == []


def test_docstrings_name_equations_that_exist(book):
    named = {
        (place.dotted, label)
        for place in book.places.values()
        if place.named and place.chapter != "links"
        for label in place.equations
    }
    assert len(named) > 50
    assert {n for n in named if n[1] not in book.equations} == set()


def headings():
    """The labels that Sphinx gives to all headings of the book."""
    found = []
    for name in toc_chapters(ROOT / "_toc.yml"):
        text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        titles = [what for sign, what in links.signs(text) if sign.startswith("#")]
        found += [f"{name}:{title}".lower() for title in titles]
    return found


def test_no_heading_stands_twice_in_a_chapter():
    found = headings()
    assert {f for f in found if found.count(f) > 1} == set()


@pytest.mark.parametrize("name", ["glossary", "notation"])
def test_references_to_headings_and_equations_lead_somewhere(book, name):
    text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
    said = [" ".join(r.split()) for r in re.findall(r"\{ref\}`([^`<]+)`", text)]
    assert len(said) >= 5
    assert {r.lower() for r in said} <= set(headings())
    assert set(re.findall(r"\{eq\}`([^`]+)`", text)) <= book.equations


TERMS = """
array, augmentation, axis, backpropagation, backward pass, batch, batch normalization,
bias, broadcasting, channel, class, classifier, col2im, confusion matrix, convolution,
cross-correlation, cross-entropy, dense layer, dilation, dropout, dtype, early
stopping, einsum, epoch, equivariance, fan-in, feature map, filter, float32, forward
pass, full, generalization, gradient, gradient check, group, hyperparameter, im2col,
image, initialization, invariance, kernel, label, layer, learning rate, learning-rate
schedule, linear, locality, logit, loss, memory layout, momentum, numerical gradient,
one-hot, optimizer, overfitting, padding, parameter, pixel, pooling, receptive field,
regularization, ReLU, residual connection, roofline, rounding error, same, seed,
sigmoid, signal, softmax, standard error, step, stochastic gradient descent, stride,
strides, strided view, test set, thread, training set, translation, turned kernel,
upstream gradient, valid, validation set, vanishing gradient, weight, weight decay,
weight sharing, window"""


def test_glossary_has_the_words_and_no_word_twice():
    text = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    terms = links.read_terms(text)
    assert {" ".join(t.split()) for t in TERMS.split(",")} <= set(terms)
    lines = [line for line in text.split("\n") if line in terms]
    assert len(lines) == len(set(lines)) == len(terms)
    entries = re.findall(r"^  .*(?:\n  .*)*", text, re.MULTILINE)
    assert len(entries) == len(set(terms.values()))
    assert all(re.search(r"\{(doc|ref)\}`", entry) for entry in entries)


def test_terms_that_chapters_use_exist():
    terms = links.read_terms((ROOT / "book" / "glossary.md").read_text("utf-8"))
    known = {term.lower() for term in terms}
    unknown = []
    for name in toc_chapters(ROOT / "_toc.yml"):
        text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
        for said in re.findall(r"(?<!`)\{term\}`([^`]+)`", text):
            term = re.sub(r"^.*<(.+)>$", r"\1", " ".join(said.split()))
            unknown += [(name, term)] * (term.lower() not in known)
    assert unknown == []


def test_words_of_the_book_mean_what_they_should(book):
    for text, where, target in [
        ("conv2d", "convolution", "cnnbook.convolution.conv2d"),
        ("conv2d", "training", "cnnbook.fast.conv2d"),
        ("convolution.conv2d", "training", "cnnbook.convolution.conv2d"),
        ("fit", "training", "cnnbook.training.fit"),
        ("check", "shapes", "cnnbook.exercises.check"),
        ("train", "training", None),
        ("float32", "tutorials", None),
        ("data", "training", None),
    ]:
        assert book.target(text, where) == target, (text, where)


def test_a_cell_that_is_no_python_is_named():
    with pytest.raises(SyntaxError) as caught:
        small(one="cell:\n1 +\n```\n")
    assert caught.value.filename == "one.md, cell-0"


def test_a_test_file_that_is_no_python_is_named():
    with pytest.raises(SyntaxError) as caught:
        links.add_tests(Book(), "test_x", "def (")
    assert caught.value.filename == "test_x.py"
