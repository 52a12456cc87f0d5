"""Subtitles and transcripts (WebVTT, SRT, SBV): cues joined to paragraphs that say when.

A paragraph reads `[00:01:05] Speaker: what was said`. It ends with a sentence, a pause, or when
another person speaks.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

from pipelines.parse.encoding import decode
from pipelines.parse.extract import Builder, Extract, clean

MEDIA_TYPE = "text/vtt"

PARAGRAPH = 400
"""Code points after which a paragraph ends with the next sentence."""

PAUSE_S = 5.0

_TIMES = re.compile(
    r"^(?:(\d{1,3}):)?(\d{1,2}):(\d\d)[.,](\d{1,3})\s*(?:-->|,)\s*"
    r"(?:(\d{1,3}):)?(\d{1,2}):(\d\d)[.,](\d{1,3})"
)
_VOICE = re.compile(r"<v(?:\.[^ >]*)?\s+([^>]*)>")
_SPEAKER = re.compile(r"^(?:>>\s*)?([A-Z][\w .'-]{0,30}):\s+(?=\S)")
_TAG = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’)\]]*$")


class _Cue(NamedTuple):
    start: float
    end: float
    speaker: str
    text: str


def parse(data: bytes) -> Extract:
    """Read the cues; notes and styles are left out."""
    builder = Builder()
    paragraph: list[_Cue] = []
    for cue in _cues(clean(decode(data))):
        if paragraph and _ends(paragraph, cue):
            builder.add(_joined(paragraph))
            paragraph = []
        paragraph.append(cue)
    if paragraph:
        builder.add(_joined(paragraph))
    return builder.extract(MEDIA_TYPE)


def _ends(paragraph: list[_Cue], cue: _Cue) -> bool:
    last = paragraph[-1]
    if cue.start - last.end > PAUSE_S or (cue.speaker and cue.speaker != paragraph[0].speaker):
        return True
    long = sum(len(each.text) for each in paragraph) > PARAGRAPH
    return long and _SENTENCE_END.search(last.text) is not None


def _joined(paragraph: list[_Cue]) -> str:
    first = paragraph[0]
    minutes, seconds = divmod(int(first.start), 60)
    hours, minutes = divmod(minutes, 60)
    speaker = f"{first.speaker}: " if first.speaker else ""
    text = " ".join(each.text for each in paragraph)
    return f"[{hours:02}:{minutes:02}:{seconds:02}] {speaker}{text}"


def _cues(source: str) -> Iterator[_Cue]:
    shown: list[str] = []  # lines of the cue before: live captions repeat them
    for block in re.split(r"\n[ \t]*\n", source):
        lines = block.strip("\n").split("\n")
        for index, line in enumerate(lines[:3]):
            if (match := _TIMES.match(line.strip())) is not None:
                said = lines[index + 1 :]
                new = [each for each in map(_plain, said) if each and each not in shown]
                if new:
                    yield _cue(match, said, " ".join(new))
                shown = [_plain(each) for each in said]
                break


def _cue(match: re.Match[str], said: list[str], text: str) -> _Cue:
    voice = _VOICE.search("\n".join(said))
    speaker = voice[1].strip() if voice else ""
    if not speaker and (named := _SPEAKER.match(text)) is not None:
        speaker, text = named[1], text[named.end() :]
    parts = match.groups()
    return _Cue(_seconds(*parts[:4]), _seconds(*parts[4:]), speaker, text)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _plain(line: str) -> str:
    return " ".join(unescape(_TAG.sub("", line)).split())
