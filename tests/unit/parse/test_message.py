"""Mail: headers as metadata, the better of two bodies, and the names of what is attached."""

import base64
from email.message import EmailMessage

import pytest

from pipelines.parse import mbox, message, outlook
from pipelines.parse.extract import Unreadable
from tests.support import office
from tests.support.parsing import blocks, texts

HEAD = "From: Ada <ada@example.com>\r\nTo: bob@example.com\r\nSubject: Bows\r\n"
DATE = "Date: Mon, 06 Jan 2020 10:00:00 +0100\r\n"


def mail(subject: str = "Bows", **bodies: str) -> EmailMessage:
    found = EmailMessage()
    found["From"], found["To"], found["Subject"] = (
        "Ada <ada@example.com>",
        "bob@example.com",
        subject,
    )
    found.set_content(bodies.get("plain", ""))
    if "html" in bodies:
        found.add_alternative(bodies["html"], subtype="html")
    return found


def test_headers_are_metadata_and_text():
    found = message.parse((HEAD + DATE + "\r\nYew is best.\r\n\r\nReally.").encode())
    assert found.title == "Bows"
    assert found.metadata == {
        "from": "Ada <ada@example.com>",
        "to": "bob@example.com",
        "date": "2020-01-06T10:00:00+01:00",
    }
    assert blocks(found) == [
        ("heading", ("Bows",), "Bows"),
        (
            "text",
            ("Bows",),
            "From: Ada <ada@example.com>\nTo: bob@example.com\nDate: 2020-01-06T10:00:00+01:00",
        ),
        ("text", ("Bows",), "Yew is best."),
        ("text", ("Bows",), "Really."),
    ]


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("=?utf-8?B?QsO2Z2Vu?=", "Bögen"),
        ("=?iso-8859-1?Q?B=F6gen?= =?utf-8?q?_und?=", "Bögen und"),
        ("=?nonsense?Q?B?=", "=?nonsense?Q?B?="),
        ("Bögen", "Bögen"),
        ("folded\r\n over lines", "folded over lines"),
    ],
)
def test_subjects_are_decoded(subject, shown):
    assert message.parse(f"Subject: {subject}\r\n\r\nx".encode()).title == shown


def test_a_body_in_an_encoding_of_seven_bits_is_decoded():
    body = "弓を作る".encode("iso2022_jp")
    data = b"Subject: x\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + body
    assert texts(message.parse(data))[-1] == "弓を作る"


def test_the_plain_alternative_is_read_unless_it_says_much_less():
    page = "<h2>Wood</h2><p>" + "Yew is best. " * 20 + "</p><script>no</script>"
    both = mail(plain="Yew is best. " * 20, html=page)
    assert texts(message.parse(both.as_bytes()))[-1].startswith("Yew is best.")
    poor = message.parse(mail(plain="Use HTML.", html=page).as_bytes())
    assert ("heading", ("Bows", "Wood"), "Wood") in blocks(poor)
    assert "no" not in poor.text.split()


def test_attachments_are_named_and_attached_texts_read():
    found = mail(plain="See below.")
    found.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="bow.pdf")
    found.add_attachment("Yew, dried.", filename="note.txt")
    extract = message.parse(found.as_bytes())
    assert extract.metadata["attachments"] == "bow.pdf, note.txt"
    assert ("text", ("Bows", "note.txt"), "Yew, dried.") in blocks(extract)
    assert texts(extract)[-1] == "Attachments: bow.pdf, note.txt"


def test_a_forwarded_message_is_a_section_of_its_own():
    outer = mail(plain="Look.")
    outer.add_attachment(mail("Arrows", plain="Of ash."))
    assert ("text", ("Bows", "Arrows"), "Of ash.") in blocks(message.parse(outer.as_bytes()))


def test_messages_in_messages_are_followed_so_far_and_no_further():
    inner = mail("deepest", plain="x")
    for level in range(30):
        outer = mail(f"level {level}", plain="x")
        outer.add_attachment(inner)
        inner = outer
    found = message.parse(inner.as_bytes())
    assert "level 29" in found.text
    assert "deepest" not in found.text


def test_a_saved_web_page_is_read_as_a_page():
    page = base64.b64encode("<title>On Bows</title><h1>Bögen</h1><p>x".encode()).decode()
    data = (
        "From: <Saved by Blink>\r\nSubject: y\r\n"
        "Content-Type: multipart/related; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        f"{page}\r\n--b--\r\n"
    )
    found = message.parse(data.encode())
    assert (found.title, texts(found)) == ("On Bows", ["Bögen", "x"])
    assert found.media_type == "text/html"


@pytest.mark.parametrize(
    "data", [b"\n\n", b"Subject", b"x: \xff\xfe\n\n\xff", b"Content-Type: a/b/c\n\n"]
)
def test_scraps_do_no_harm(data):
    blocks(message.parse(data))


def test_a_mailbox_has_its_messages_under_their_subjects():
    first = f"From a@b Mon Jan  6\n{HEAD}\nYew.\n>From here on.\n\n"
    box = first + "From c@d Mon Jan  6\nSubject: Re\n\nAsh."
    found = mbox.parse(box.encode())
    assert [each for each in blocks(found) if each[2][:4] != "From" or "here" in each[2]] == [
        ("heading", ("Bows",), "Bows"),
        ("text", ("Bows",), "Yew.\nFrom here on."),
        ("heading", ("Re",), "Re"),
        ("text", ("Re",), "Ash."),
    ]
    assert (found.title, found.metadata) == (None, {})


def test_an_outlook_message_has_sender_date_and_attachments():
    data = office.msg(
        {
            "0037": "Bows",
            "1000": "Yew is best.",
            "0C1A": "Ada",
            "5D01": "ada@example.com",
            "0E04": "Bob",
            "__attach_version1.0_#00000000/__substg1.0_3707001F": "bow.pdf",
        },
        filetime=132_227_856_000_000_000,
    )
    found = outlook.parse(data)
    assert found.title == "Bows"
    assert found.metadata == {
        "from": "Ada <ada@example.com>",
        "to": "Bob",
        "date": "2020-01-06T12:00:00+00:00",
        "attachments": "bow.pdf",
    }
    assert texts(found)[-2:] == ["Yew is best.", "Attachments: bow.pdf"]


def test_an_outlook_message_in_html_or_in_an_old_code_page_is_read():
    page = b"<p>Yew is <b>best</b>.</p>"
    assert texts(outlook.parse(office.msg({"__substg1.0_10130102": page})))[-1] == "Yew is best."
    old = office.msg({"__substg1.0_1000001E": "Лук из тиса лучше всех".encode("cp1251")})
    assert texts(outlook.parse(old)) == ["Лук из тиса лучше всех"]


def test_the_example_of_the_compressed_rtf_specification_unpacks():
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c09002062770"
        "5b06c647d0a800fa0"
    )
    assert outlook.unpacked_rtf(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_a_message_without_anything_is_no_fault():
    assert outlook.parse(office.msg({})).text == ""
    with pytest.raises(Unreadable):
        outlook.parse(office.msg({})[:700])
