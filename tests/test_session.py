"""Cells without Jupyter: last lines, outputs, errors, stand-ins."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import cnnbook.session as session_module
from cnnbook.session import (
    Session,
    Words,
    cut_last,
    in_lines,
    looks,
    settle,
    silent,
)


@pytest.fixture
def session():
    """A session, and what it has sent so far."""
    sent = []
    made = Session(lambda kind, content: sent.append((kind, content)))
    made.sent = sent
    return made


def printed(session, kind="stdout"):
    return "".join(content for k, content in session.sent if k == kind)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("2 + 3", "5"),
        ("x = 5", None),
        ("2 + 3;", None),
        ("2 + 3;  # quiet", None),
        ("2; 3", "3"),
        ("None", None),
        ("'a;'", "'a;'"),
        ("(1,\n 2)", "(1, 2)"),
        ("if True:\n    7", None),
        ("", None),
        ("# only words", None),
        ("   \n\n", None),
        ("'''% not a magic\n% nor this'''", "'% not a magic\\n% nor this'"),
        ("%config Thing = 1\n!ls\n4", "4"),
    ],
)
def test_the_last_line(session, source, shown):
    assert session.run(source)
    plain = [c["text/plain"] for k, c in session.sent if k == "display"]
    assert plain == ([] if shown is None else [shown])


def test_cut_last_of_no_python():
    with pytest.raises(SyntaxError):
        cut_last("1 +")
    with pytest.raises(SyntaxError):
        cut_last("%magic\n1 +")


def test_silent():
    assert silent("f(x);") and silent("f(x) ;  # why\n") and silent("f(\n1);\n\n")
    assert not silent("f(x)  # ;") and not silent("';'") and not silent("")


def test_names_stay_and_cells_are_numbered(session):
    session.run("x = 2")
    session.run("def half(y):\n    return x / y")
    assert not session.run("half(0)")
    error = printed(session, "error")
    assert error.endswith("ZeroDivisionError: division by zero")
    assert 'File "<cell 3>", line 1' in error and 'File "<cell 2>", line 2' in error
    assert "return x / y" in error and "half(0)" in error
    assert "session.py" not in error and "exec" not in error
    assert session.run("x + 1")


def test_syntax_error_as_python_shows_it(session):
    assert not session.run("y = (1,\nz = 2")
    error = printed(session, "error")
    assert error.splitlines()[0].strip().startswith('File "<cell 1>", line')
    assert "SyntaxError" in error and "ast.py" not in error


def test_session_that_a_cell_defines_hides_its_own_lines(session):
    """As in the chapter that defines it, when that runs live."""
    source = Path(session_module.__file__).read_text(encoding="utf-8")
    assert session.run(source), printed(session, "error")
    assert session.run(
        "told = []\n"
        "inner = Session(lambda kind, content: told.append(content))\n"
        "ran = inner.run('x = 1\\nx / 0')\n"
        "print(ran, told[-1])"
    )
    assert printed(session, "stdout").splitlines()[:2] == [
        "False Traceback (most recent call last):",
        '  File "<cell 1>", line 2, in <module>',
    ]


def test_figures_that_pyplot_left_open_are_shown_and_closed(session):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    assert session.run("from matplotlib import pyplot\npyplot.plot([1, 2]);")
    ((kind, content),) = session.sent
    assert kind == "display" and content["image/svg+xml"].startswith("<?xml")
    assert content["text/plain"] == "A figure drawn with pyplot."
    assert pyplot.get_fignums() == []


def test_errors_in_showing_are_told(session):
    source = "class Bad:\n    def __repr__(self):\n        return 1 / 0\nBad()"
    assert not session.run(source)
    assert "ZeroDivisionError" in printed(session, "error")
    assert session.run("1")


def test_exits_end_the_cell_only(session):
    assert not session.run("import sys\nsys.exit(3)")
    assert "SystemExit: 3" in printed(session, "error")
    with pytest.raises(KeyboardInterrupt):
        session.run("raise KeyboardInterrupt")


def test_order_of_what_is_printed_and_shown(session):
    session.run("print('a')\nimport sys\nprint('b', file=sys.stderr)\n5")
    assert [k for k, _ in session.sent] == ["stdout", "stderr", "display"]
    session.sent.clear()
    session.run("print('c')\nraise ValueError('d')")
    assert [k for k, _ in session.sent] == ["stdout", "error"]


def test_both_streams_keep_their_order(session):
    source = "import sys\nprint(1)\nsys.stderr.write('2\\n')\nprint(3)"
    session.run(source + ";")
    assert session.sent == [("stdout", "1\n"), ("stderr", "2\n"), ("stdout", "3\n")]
    session.sent.clear()
    session.run(
        "for k in range(30):\n    print(k)\nsys.stderr.write('w')\nprint('end')"
    )
    whole = "".join(content for _, content in session.sent)
    assert whole == "".join(f"{k}\n" for k in range(30)) + "wend\n"
    session.run("sys.stdout.close()")
    session.sent.clear()
    session.run("print(4)")
    assert session.sent == [("stdout", "4\n")]


def test_ipythons_lines_are_found_by_the_parser(session):
    source = "%%time\nquery = '''\n%percent\n!bang\n'''\nquery"
    assert session.run(source)
    assert session.sent[-1][1]["text/plain"] == repr("\n%percent\n!bang\n")
    assert session.run("!echo it's\n1")
    assert not session.run("%matplotlib inline\nx = = 1")
    error = printed(session, "error")
    assert "During handling" not in error and "session.py" not in error


def test_values_that_show_themselves_oddly(session):
    source = """
        from unittest.mock import MagicMock

        class Odd:
            alt = 5
            def _repr_svg_(self): return "<svg/>"
            def _repr_html_(self): raise RuntimeError
            def _repr_json_(self): return float("nan")
            def __getattr__(self, name): return 7
            def __repr__(self): return "odd"
    """
    assert session.run(textwrap.dedent(source))
    assert session.run("MagicMock()") and session.run("Odd()")
    assert session.sent[-1][1] == {"image/svg+xml": "<svg/>", "text/plain": "odd"}


def test_errors_of_all_kinds_end_a_cell_only(session):
    source = """
        class Own(BaseException):
            @property
            def __notes__(self): raise RuntimeError
        raise Own
    """
    assert not session.run(textwrap.dedent(source))
    assert "Own" in printed(session, "error")
    assert not session.run("raise GeneratorExit")
    assert session.run("1")


def test_a_session_in_a_session(session):
    source = """
        from cnnbook.session import Session
        inner = []
        other = Session(lambda *what: inner.append(what))
        other.run("a = 1\\nprint('inside')\\n1 / 0")
        len(inner)
    """
    assert session.run("def outer():\n    return 1 / 0")
    assert session.run(textwrap.dedent(source))
    assert session.sent[-1][1]["text/plain"] == "2"
    session.run("outer()")
    assert "return 1 / 0" in printed(session, "error")


def test_streams_are_given_back(session):
    before = sys.stdout, sys.stderr
    session.run("print(1)")
    session.run("1 / 0")
    assert (sys.stdout, sys.stderr) == before


def test_lines_are_sent_as_soon_as_they_end():
    sent = []
    words = Words(sent.append)
    print("reading", file=words)
    print("training", "takes a minute", file=words)
    assert sent == ["reading\n", "training takes a minute\n"]
    print("no end", end="", file=words)
    assert len(sent) == 2
    words.flush()
    words.flush()
    assert sent[2:] == ["no end"]


def test_many_lines_are_few_messages():
    sent = []
    words = Words(sent.append, every=0.02, most=3)
    for number in range(1000):
        print(number, file=words)
    many = len(sent)
    assert 3 <= many < 30
    time.sleep(0.05)
    print("after a pause", file=words)
    assert len(sent) == many + 1
    words.flush()
    expected = "".join(f"{number}\n" for number in range(1000)) + "after a pause\n"
    assert "".join(sent) == expected
    with pytest.raises(TypeError, match="text: needs a str"):
        words.write(b"bytes")


def test_looks():
    class Rich:
        alt = "a drawing of nothing"

        def _repr_svg_(self):
            return "<svg/>"

        def _repr_html_(self):
            return None

        def _repr_json_(self):
            return {"a": [1, 2.5]}

    assert looks(Rich()) == {
        "image/svg+xml": "<svg/>",
        "application/json": '{"a": [1, 2.5]}',
        "text/plain": "a drawing of nothing",
    }
    assert set(looks(Rich)) == {"text/plain"}  # the class, not a thing of it
    assert looks(1.5) == {"text/plain": "1.5"}


def test_long_containers_are_broken_into_lines():
    assert in_lines([1, 2]) == "[1, 2]"
    long = in_lines([0.25] * 40)
    assert "\n" in long and max(map(len, long.splitlines())) <= 80
    assert eval(long) == [0.25] * 40
    assert in_lines("x" * 200) == repr("x" * 200)
    assert in_lines({"b": 1, "a": "z" * 90}).startswith("{'b'")


def test_dataclasses_and_lambdas_and_classes_work(session):
    source = """
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: int
        Point(3)
    """
    assert session.run(textwrap.dedent(source))
    assert session.sent[-1][1]["text/plain"] == "Point(x=3)"
    assert session.run("[Point(k).x for k in range(2)]")


def test_cells_are_the_main_module_while_they_run(session):
    before = sys.modules["__main__"]
    source = """
        import pickle, sys
        class Thing: pass
        pickle.loads(pickle.dumps(Thing())).__class__ is Thing, Thing.__module__
    """
    assert session.run(textwrap.dedent(source)), session.sent
    assert session.sent[-1][1]["text/plain"] == "(True, '__main__')"
    assert not session.run("sys.modules['__main__'].Thing; 1 / 0")
    assert sys.modules["__main__"] is before


def test_stand_ins_where_jupyter_is_missing():
    """In a process that can't import them, as in a browser."""
    code = """
        import sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                away = name.split(".")[0] in ("myst_nb", "IPython")
                if away and name not in sys.modules:
                    raise ModuleNotFoundError(name)

        import importlib.util
        real = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: (
            None if name in ("myst_nb", "IPython") else real(name, *rest)
        )
        sys.meta_path.insert(0, Missing())
        from cnnbook.session import Session
        sent = []
        session = Session(lambda *what: sent.append(what))
        assert session.run(
            "from myst_nb import glue\\n"
            "from IPython.display import HTML, Markdown, display\\n"
            "glue('a', 1, display=False)\\nglue('b', 2)\\n"
            "display(HTML('<b>c</b>'), 4)\\nMarkdown('**d**')"
        ), sent
        shown = [content for kind, content in sent]
        assert shown[0] == {"text/plain": "2"}, shown
        assert shown[1]["text/html"] == "<b>c</b>"
        assert shown[2] == {"text/plain": "4"}
        assert shown[3]["text/markdown"] == "**d**" and len(shown) == 4
        more = []
        other = Session(lambda *what: more.append(what))
        other.run("from myst_nb import glue\\nglue('e', 5)")
        assert more and len(sent) == 4
        print("done")
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert run.stdout == "done\n", run.stderr


def test_installed_modules_are_left_alone(session):
    import IPython
    import myst_nb

    assert sys.modules["IPython"] is IPython and sys.modules["myst_nb"] is myst_nb
    assert hasattr(IPython, "__version__")


def test_settle(tmp_path):
    code = f"""
        from pathlib import Path
        from cnnbook.session import settle
        settle({str(tmp_path)!r}, {{"a/b.txt": "é", "book/c.txt": "c"}})
        assert Path("../a/b.txt").read_text("utf-8") == "é"
        assert Path("c.txt").exists()
        settle({str(tmp_path)!r}, {{}})
        import cnnbook
        print(len(cnnbook.load_mnist()[0]), Path().resolve().name)
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
    )
    assert run.stdout == "12000 book\n", run.stderr


def test_settle_writes_nowhere_else(tmp_path):
    with pytest.raises(ValueError, match=r"files: '../b.txt' lies outside"):
        settle(tmp_path / "folder", {"../b.txt": ""})
    assert not (tmp_path / "b.txt").exists()
