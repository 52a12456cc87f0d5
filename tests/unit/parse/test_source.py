"""Source code: verbatim, a definition with its comments is a block under its names."""

import pytest

from pipelines.parse import source
from tests.support.parsing import blocks, texts

PYTHON = '''"""Doc."""
import os

# about A
@decorated
class A(Base):
    """It is."""

    def one(self, x: int) -> None:
        if x:
            return 2

    async def two(self):
        pass


if __name__ == "__main__":
    A()
'''


def test_python_is_divided_by_classes_and_functions():
    assert [(headings, text) for _, headings, text in blocks(source.parse(PYTHON.encode()))] == [
        ((), '"""Doc."""\nimport os'),
        (("A",), '# about A\n@decorated\nclass A(Base):\n    """It is."""'),
        (("A", "one"), "    def one(self, x: int) -> None:\n        if x:\n            return 2"),
        (("A", "two"), "    async def two(self):\n        pass"),
        ((), 'if __name__ == "__main__":\n    A()'),
    ]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (
            "// serves\ntype Server struct {\n\tport int\n}\n\nfunc (s *Server) Run() {\n}",
            ["Server", "Run"],
        ),
        ("static int add(int a,\n               int b)\n{\n    return a + b;\n}\n", [""]),
        ("int main(int c, char **v) {\n    for (;;) {\n    }\n}\n", ["main"]),
        ("int main(void)\n{\n    return 0;\n}\n", ["main"]),
        ("export const f = async (e) => {\n  return 1;\n};\n", ["f"]),
        (
            "class Foo {\n  render() {\n    return 1;\n  }\n}\nfunction g() {}\n",
            ["Foo.render", "g"],
        ),
        ("public class M {\n    @Override\n    public String s() {\n    }\n}", ["M", "M.s"]),
        ("impl Bow {\n    pub fn draw(&self) -> u8 {\n        1\n    }\n}", ["Bow.draw"]),
        (
            "module Bows\n  class Yew\n    def bend\n    end\n  end\nend\n",
            ["Bows.Yew.bend"],
        ),
        (
            "CREATE TABLE bows (\n  id INT\n);\n\ncreate or replace view v as select 1;",
            ["bows", "v"],
        ),
        ("deploy() {\n  echo x\n}\n\ndeploy\n", ["deploy", ""]),
        ("[tool.ruff]\nline-length = 100\n\n[[package]]\nname = 'x'\n", ["tool.ruff", "package"]),
        ("message Bow {\n  string wood = 1;\n}\n", ["Bow"]),
        ("jobs:\n  test:\n    runs-on: x\n\non: push\n", ["", ""]),
    ],
)
def test_definitions_are_known_in_many_languages(code, names):
    found = source.parse(code.encode())
    assert [".".join(each.headings) for each in found.blocks] == names


def test_a_line_that_only_opens_a_class_goes_with_what_is_in_it():
    code = "class A:\n    def one(self):\n        pass\n\n    def two(self):\n        pass\n"
    assert blocks(source.parse(code.encode())) == [
        ("code", ("A", "one"), "class A:\n    def one(self):\n        pass"),
        ("code", ("A", "two"), "    def two(self):\n        pass"),
    ]


def test_every_visible_line_is_in_a_block():
    found = source.parse(PYTHON.encode())
    kept = "\n".join(texts(found)).split("\n")
    assert kept == [line for line in PYTHON.split("\n") if line.strip()]


def test_code_that_is_none_is_divided_at_blank_lines():
    assert texts(source.parse(b"}}}\n\n{{{\n\n\n???\n\n!!!")) == ["}}}\n\n{{{", "???", "!!!"]


def test_an_empty_file_has_no_blocks():
    assert source.parse(b"\n \n").blocks == []


def test_long_lines_and_deep_nesting_take_no_time_to_speak_of():
    deep = "\n".join(" " * n + "def f():" for n in range(2_000))
    minified = "function a(){" + "b(c,d);" * 100_000 + "}"
    assert source.parse(deep.encode()).blocks
    assert source.parse(minified.encode()).blocks
    assert source.parse(("a(" * 50_000 + "\n{").encode()).blocks
