"""The formats that Twofold reads, one row each; a new format is a parser file and a row."""

from typing import NamedTuple


class Format(NamedTuple):
    """How a format is told, and who reads it.

    Attributes:
        name: As people call it, with its article.
        parser: A module with `parse(data: bytes) -> Extract`; imported in the child alone. It may
            have `prepare(data: bytes)` for what must be imported before the child is sealed.
        suffixes: Of file names, lower case.
        media_types: Without parameters, lower case.
        signature: What the content begins with.
        zip_entry: A folder or file that a ZIP container of this format has.
        zip_type: Beginning of what the entry `mimetype` of such a container says.
        ole_stream: A stream or storage of a compound file (OLE) of this format.
        roots: Names of the root element of XML of this format.
        opening: Pattern of how text of this format begins; where the name says nothing.
    """

    name: str
    parser: str
    suffixes: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    signature: bytes | None = None
    zip_entry: str | None = None
    zip_type: str | None = None
    ole_stream: str | None = None
    roots: tuple[str, ...] = ()
    opening: str | None = None

    @property
    def binary(self) -> bool:
        """Whether the content alone decides."""
        return any((self.signature, self.zip_entry, self.zip_type, self.ole_stream))


def _suffixes(names: str) -> tuple[str, ...]:
    return tuple(names.split())


def _office(kind: str) -> str:
    return f"application/vnd.openxmlformats-officedocument.{kind}"


PDF = Format("a PDF", "pipelines.parse.pdf", (".pdf",), ("application/pdf",), signature=b"%PDF-")
RTF = Format(
    "an RTF document",
    "pipelines.parse.richtext",
    (".rtf",),
    ("application/rtf", "text/rtf"),
    signature=b"{\\rtf",
)
DOCX = Format(
    "a DOCX",
    "pipelines.parse.word",
    (".docx", ".docm", ".dotx", ".dotm"),
    (_office("wordprocessingml.document"),),
    zip_entry="word/",
)
PPTX = Format(
    "a PPTX",
    "pipelines.parse.slides",
    (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx"),
    (_office("presentationml.presentation"), _office("presentationml.slideshow")),
    zip_entry="ppt/",
)
XLSX = Format(
    "an XLSX",
    "pipelines.parse.workbook",
    (".xlsx", ".xlsm", ".xltx", ".xltm", ".xlsb"),
    (
        _office("spreadsheetml.sheet"),
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    ),
    zip_entry="xl/",
)
ODT = Format(
    "an ODT",
    "pipelines.parse.opendocument",
    (".odt", ".ott", ".odm", ".sxw"),
    ("application/vnd.oasis.opendocument.text",),
    zip_type="application/vnd.oasis.opendocument.text",
)
ODS = Format(
    "an ODS",
    "pipelines.parse.opendocument",
    (".ods", ".ots", ".sxc"),
    ("application/vnd.oasis.opendocument.spreadsheet",),
    zip_type="application/vnd.oasis.opendocument.spreadsheet",
)
ODP = Format(
    "an ODP",
    "pipelines.parse.opendocument",
    (".odp", ".otp", ".odg", ".sxi"),
    ("application/vnd.oasis.opendocument.presentation",),
    zip_type="application/vnd.oasis.opendocument.",
)
STAROFFICE = Format(
    "an OpenOffice 1 document",
    "pipelines.parse.opendocument",
    zip_type="application/vnd.sun.xml.",
)
FLAT_ODF = Format(
    "a flat OpenDocument file",
    "pipelines.parse.opendocument",
    (".fodt", ".fods", ".fodp"),
    roots=("document",),
)
EPUB = Format(
    "an EPUB",
    "pipelines.parse.ebook",
    (".epub",),
    ("application/epub+zip",),
    zip_type="application/epub+zip",
)
EPUB_WITHOUT_TYPE = Format("an EPUB", "pipelines.parse.ebook", zip_entry="META-INF/container.xml")
FB2 = Format(
    "an FB2 book",
    "pipelines.parse.fictionbook",
    (".fb2",),
    ("application/x-fictionbook+xml",),
    roots=("FictionBook",),
)
XLS = Format(
    "an XLS",
    "pipelines.parse.workbook",
    (".xls", ".xlt"),
    ("application/vnd.ms-excel",),
    ole_stream="Workbook",
)
XLS_95 = Format("an XLS", "pipelines.parse.workbook", ole_stream="Book")
DOC = Format(
    "a DOC",
    "pipelines.parse.word97",
    (".doc", ".dot"),
    ("application/msword",),
    ole_stream="WordDocument",
)
PPT = Format(
    "a PPT",
    "pipelines.parse.slides97",
    (".ppt", ".pps", ".pot"),
    ("application/vnd.ms-powerpoint",),
    ole_stream="PowerPoint Document",
)
MSG = Format(
    "an Outlook message",
    "pipelines.parse.outlook",
    (".msg",),
    ("application/vnd.ms-outlook",),
    ole_stream="__properties_version1.0",
)
MBOX = Format(
    "a mailbox",
    "pipelines.parse.mbox",
    (".mbox", ".mbx"),
    ("application/mbox",),
    opening=r"From \S+.*\n(?:>?[A-Z][\w-]*:.*\n)",
)
EML = Format(
    "an e-mail",
    "pipelines.parse.message",
    (".eml", ".mht", ".mhtml"),
    ("message/rfc822", "multipart/related"),
    opening=(
        r"(?:(?:(?:From|To|Subject|Date|Received|Return-Path|Message-ID|MIME-Version|Sender|Cc|"
        r"Delivered-To|Reply-To|Content-Type|X-[\w-]+): .*)\n(?:[ \t].*\n)*+){3}"
    ),
)
ICS = Format(
    "a calendar",
    "pipelines.parse.contentlines",
    (".ics", ".ical", ".ifb"),
    ("text/calendar",),
    opening="BEGIN:VCALENDAR",
)
VCF = Format(
    "a vCard",
    "pipelines.parse.contentlines",
    (".vcf", ".vcard"),
    ("text/vcard", "text/x-vcard"),
    opening="BEGIN:VCARD",
)
SUBTITLES = Format(
    "subtitles",
    "pipelines.parse.subtitles",
    (".vtt", ".srt", ".sbv"),
    ("text/vtt", "application/x-subrip"),
    opening=r"WEBVTT\b|\d{1,6}[ \t]*\n\d{1,2}:\d\d:\d\d[,.]\d{1,3} --> ",
)
HTML = Format(
    "HTML",
    "pipelines.parse.webpage",
    (".html", ".htm", ".xhtml", ".shtml"),
    ("text/html", "application/xhtml+xml"),
    roots=("html",),
    opening=(
        r"(?i:(?:<\?xml[^>]*>\s*)?(?><!--.{0,900}?-->\s*)*+"
        r"<(?:!doctype\s+html|html|head|body|title|meta|script|style|div|table|p|h1)[\s>])"
    ),
)
JATS = Format(
    "a journal article in XML",
    "pipelines.parse.journal",
    (".nxml", ".jats"),
    roots=("article", "pmc-articleset"),
)
FEED = Format(
    "a feed",
    "pipelines.parse.feed",
    (".rss", ".atom"),
    ("application/rss+xml", "application/atom+xml"),
    roots=("rss", "feed", "RDF"),
)
EXCEL_2003 = Format("an Excel 2003 XML file", "pipelines.parse.excel2003", roots=("Workbook",))
XML = Format(
    "XML",
    "pipelines.parse.xmldata",
    (".xml", ".xsd", ".xsl", ".xslt", ".wsdl", ".dita", ".svg", ".kml", ".gpx", ".plist", ".opml"),
    ("application/xml", "text/xml", "image/svg+xml"),
)
NOTEBOOK = Format(
    "a notebook",
    "pipelines.parse.notebook",
    (".ipynb",),
    ("application/x-ipynb+json",),
    opening=r'\{\s*"(?:cells|nbformat)"\s*:',
)
JSON = Format(
    "JSON",
    "pipelines.parse.structured",
    (".json", ".jsonl", ".ndjson", ".geojson", ".jsonld"),
    ("application/json", "application/jsonl", "application/x-ndjson", "application/geo+json"),
)
CSV = Format(
    "CSV",
    "pipelines.parse.delimited",
    (".csv", ".tsv", ".tab", ".psv"),
    ("text/csv", "text/tab-separated-values"),
)
MARKDOWN = Format(
    "Markdown",
    "pipelines.parse.markdown",
    (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"),
    ("text/markdown", "text/x-markdown"),
)
RST = Format(
    "reStructuredText",
    "pipelines.parse.restructured",
    (".rst", ".rest"),
    ("text/x-rst", "text/prs.fallenstein.rst"),
)
ASCIIDOC = Format(
    "AsciiDoc",
    "pipelines.parse.asciidoc",
    (".adoc", ".asciidoc", ".asc"),
    ("text/asciidoc", "text/x-asciidoc"),
)
LATEX = Format(
    "LaTeX",
    "pipelines.parse.latex",
    (".tex", ".latex", ".ltx"),
    ("application/x-tex", "application/x-latex", "text/x-tex"),
    opening=r"\s*(?:%.*\n\s*)*+\\document(?:class|style)\b",
)
SOURCE = Format(
    "source code",
    "pipelines.parse.source",
    _suffixes(
        ".py .pyi .pyx .js .mjs .cjs .jsx .ts .tsx .vue .svelte .java .kt .kts .scala .groovy "
        ".gradle .c .h .cc .cpp .cxx .hh .hpp .hxx .ino .cu .m .mm .cs .fs .fsx .vb .go .rs .rb "
        ".php .pl .pm .swift .dart .lua .r .jl .ex .exs .erl .hs .ml .mli .clj .cljs .lisp .el "
        ".sh .bash .zsh .fish .ps1 .psm1 .bat .cmd .sql .proto .thrift .graphql .tf .hcl .zig "
        ".nim .pas .f .f90 .f95 .cob .cbl .asm .s .v .sv .vhd .vhdl .css .scss .sass .less .sol "
        ".yaml .yml .toml .ini .cfg .conf .properties .env .cmake .mk .diff .patch"
    ),
    ("text/x-python", "text/javascript", "application/javascript", "text/x-c", "text/css"),
)
TEXT = Format("text", "pipelines.parse.text", (".txt", ".text", ".log"), ("text/plain",))

FORMATS = (
    *(PDF, RTF),
    *(DOCX, PPTX, XLSX, ODT, ODS, ODP, STAROFFICE, EPUB, EPUB_WITHOUT_TYPE),
    *(XLS, XLS_95, DOC, PPT, MSG),
    *(FLAT_ODF, FB2, HTML, JATS, FEED, EXCEL_2003, XML),
    *(MBOX, EML, ICS, VCF, SUBTITLES, NOTEBOOK, JSON, CSV),
    *(MARKDOWN, RST, ASCIIDOC, LATEX, SOURCE, TEXT),
)
"""Every format; of two that fit, the first counts, and plain text is what remains."""

READ = (
    "PDF, Office and OpenDocument files, RTF, web pages, XML, e-books, e-mail, calendars, tables, "
    "JSON, notebooks, subtitles, markup, source code and text"
)
"""What Twofold reads, as a phrase."""
