r"""LaTeX as its reader would see it: without preamble and commands, formulas as they are written.

Not an interpreter: `\newcommand` is not expanded and `\input` is not followed. What a command
that is not known encloses is text.
"""

import re
from collections.abc import Iterator

from pipelines.parse import rows
from pipelines.parse.encoding import decode
from pipelines.parse.extract import MAX_TEXT, BlockKind, Builder, Extract, TooMuchText

MEDIA_TYPE = "application/x-tex"

_LEVELS = {
    "part": 1,
    "chapter": 2,
    "section": 3,
    "subsection": 4,
    "subsubsection": 5,
    "paragraph": 6,
}
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*(?=\S))?")
_BODY = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.DOTALL)
_PART = re.compile(
    r"\\begin\{(?P<kept>verbatim\*?|lstlisting|minted|equation\*?|align\*?|gather\*?|multline\*?|"
    r"eqnarray\*?|displaymath|Verbatim|algorithm2e|tikzpicture)\}(?P<inside>.*?)\\end\{(?P=kept)\}"
    r"|\\begin\{(?P<table>tabularx?\*?|longtable|tabulary)\}(?P<rows>.*?)\\end\{(?P=table)\}"
    r"|\\(?P<level>part|chapter|section|subsection|subsubsection|paragraph)\*?"
    r"(?:\[[^\]]*\])?\{(?P<heading>(?:[^{}]|\{[^{}]*\})*)\}"
    r"|(?P<item>\\item\b(?:\[(?P<label>[^\]]*)\])?)"
    r"|(?P<break>\n[ \t]*\n\s*|\\par\b|\\begin\{[^}]*\}(?:\[[^\]]*\])?(?:\{[^{}]*\})?"
    r"|\\end\{[^}]*\})"
    r"|(?P<display>\\\[.*?\\\]|\$\$.*?\$\$)",
    re.DOTALL,
)
_DROPPED = re.compile(
    r"\\(?:label|cite[a-zA-Z]*\*?|ref|eqref|autoref|cref|Cref|pageref|input|include|includegraphics"
    r"|bibliography|bibliographystyle|vspace\*?|hspace\*?|index|thispagestyle|pagestyle|setlength"
    r"|setcounter|usepackage|newcommand|renewcommand|graphicspath|hypersetup|vskip|color"
    r"|definecolor|todo|thanks|date|maketitle|tableofcontents|centering|noindent|clearpage|newpage"
    r"|bigskip|medskip|smallskip|hline|toprule|midrule|bottomrule|cmidrule|cline|multirow)"
    r"(?![a-zA-Z])\*?(?:\([^)]*\)|\[[^\]]*\]|\{[^{}]*\})*"
)
_MATH = re.compile(r"\$[^$]*\$|\\\(.*?\\\)", re.DOTALL)
_ESCAPED = re.compile(r"\\([%&$#_{}])")
_COMMAND = re.compile(r"\\[a-zA-Z]+\*?(?:\[[^\]]*\])?[ \t]*")
_ACCENT = re.compile(r"\\([`'^\"~=.cvuHr])\s*\{?\\?([A-Za-z])\}?")
_ACCENTS = {
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    '"': "\u0308",
    "=": "\u0304",
    ".": "\u0307",
    "c": "\u0327",
    "v": "\u030c",
    "u": "\u0306",
    "H": "\u030b",
    "r": "\u030a",
}
_LETTERS = {"ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł"}
_LETTER = re.compile(r"\\(ss|ae|AE|oe|OE|o|O|l)(?![a-zA-Z])(?:\{\})?[ ]?")
_COLUMNS = re.compile(r"^\s*(?:\[[^\]]*\])?(?:\{(?:[^{}]|\{[^{}]*\})*\}){1,2}")
_SPACES = re.compile(r"[ \t\n]+")


def parse(data: bytes) -> Extract:
    """Read the body of a document, or all of a part of one."""
    source = decode(data).replace("\r\n", "\n")
    if len(source) > MAX_TEXT:
        raise TooMuchText
    source = _COMMENT.sub(r"\1", source)
    body = _BODY.search(source)
    text = body[1] if body else source
    builder = Builder()
    title = _plain(_argument(source, "title"))
    if title:
        builder.heading(1, title)
    for kind, level, part in _parts(text):
        if level:
            builder.heading(level + 1, part)
        else:
            builder.add(part, kind, first_line_leads=kind == "table")
    author = re.sub(r"\\(?:and|And|AND)\b", ";", _argument(source, "author"))
    return builder.extract(MEDIA_TYPE, title=title, metadata={"author": _plain(author)})


def _argument(source: str, command: str) -> str:
    """What a command encloses, with the braces inside it."""
    match = re.search(rf"\\{command}\s*(?:\[[^\]]*\])?\{{", source)
    if match is None:
        return ""
    depth = 1
    for place in range(match.end(), min(len(source), match.end() + 5_000)):
        depth += {"{": 1, "}": -1}.get(source[place], 0)
        if depth == 0:
            return source[match.end() : place]
    return ""


def _parts(text: str) -> Iterator[tuple[BlockKind, int, str]]:
    """Kind, level (0 unless a heading) and text of every block."""
    position = 0
    in_item = False
    for match in _PART.finditer(text):
        yield ("list" if in_item else "text"), 0, _plain(text[position : match.start()])
        position = match.end()
        in_item = False
        if match["kept"]:
            yield "code", 0, match["inside"].strip("\n")
        elif match["display"]:
            yield "code", 0, match["display"]
        elif match["table"]:
            yield "table", 0, _table(match["rows"])
        elif match["level"]:
            yield "heading", _LEVELS[match["level"]], _plain(match["heading"])
        elif match["item"]:
            in_item = True
            if match["label"]:
                yield "list", 0, _plain(match["label"])
    yield ("list" if in_item else "text"), 0, _plain(text[position:])


def _table(source: str) -> str:
    lines = re.split(r"\\\\(?:\[[^\]]*\])?", _COLUMNS.sub("", source, count=1))
    cells = ([_plain(cell) for cell in re.split(r"(?<!\\)&", line)] for line in lines)
    return rows.render(cells)


def _plain(source: str) -> str:
    """Text without commands; formulas stay as they are."""
    formulas: list[str] = []

    def kept(match: re.Match[str]) -> str:
        formulas.append(match[0])
        return f"\x00{len(formulas) - 1}\x00"

    text = _MATH.sub(kept, source.replace("\x00", ""))
    text = _DROPPED.sub("", text)
    text = _ACCENT.sub(lambda match: match[2] + _ACCENTS[match[1]], text)
    text = _LETTER.sub(lambda match: _LETTERS[match[1]], text)
    text = text.replace("\\\\", "\n").replace("~", " ").replace("---", "—").replace("--", "–")
    text = text.replace("``", "“").replace("''", "”").replace("\\ldots", "…").replace("\\dots", "…")
    text = _ESCAPED.sub("\x01\\1", text)
    text = _COMMAND.sub("", text).replace("{", "").replace("}", "")
    text = re.sub("\x01(.)", r"\1", text)
    text = _SPACES.sub(" ", text)
    text = re.sub(r"\x00(\d+)\x00", lambda match: formulas[int(match[1])], text)
    return re.sub(r"[ ]+([,.;:])", r"\1", text).strip()
