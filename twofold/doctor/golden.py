"""Questions whose answer no fit model can miss: the reference of every self-test.

Each question has one passage that answers it and two that do not, though they share more of its
words; a model that has lost its prompt, its head or its pooling falls for them. Written for
Twofold; every fact is common knowledge.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Language: TypeAlias = Literal["en", "code", "de", "zh", "ar", "es", "hi"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True, slots=True)
class Golden:
    """A question, the passage that answers it, and two that do not."""

    language: Language
    query: str
    right: str
    wrong: tuple[str, str]

    def passages(self, place: int) -> list[str]:
        """All three with the right one at `place` (0..2), so that order alone wins nothing."""
        passages = list(self.wrong)
        passages.insert(place, self.right)
        return passages


GOLDEN: tuple[Golden, ...] = (
    Golden(
        "en",
        "Why is the sky blue during the day?",
        "Air molecules scatter the short wavelengths of sunlight far more than the long ones, so "
        "blue light reaches the eye from every direction.",
        (
            "The blue ceiling of the hall imitates the sky and was painted in one day.",
            "The museum is open every day except Monday.",
        ),
    ),
    Golden(
        "en",
        "Which city is the capital of Australia?",
        "Canberra has been the seat of the Australian government since 1913.",
        (
            "Capital letters begin the name of every city, so that 'sydney' is a mistake and "
            "'Sydney' is not. Other words in a title may begin with one as well, which is a "
            "matter of taste: publishers in London and in New York have followed different "
            "customs for more than a century, and neither shows any sign of giving way.",
            "Kangaroos graze at dusk.",
        ),
    ),
    Golden(
        "en",
        "How long does it take to hard-boil an egg?",
        "For a firm yolk, leave it in simmering water for ten to twelve minutes.",
        (
            "It is hard to say how long the hen sat before she laid the first egg.",
            "The kettle was made of steel.",
        ),
    ),
    Golden(
        "en",
        "I forgot my password. How do I get back into my account?",
        "Choose 'Reset access' on the sign-in page; a link for setting new credentials arrives "
        "by e-mail.",
        (
            "I forgot my umbrella and had to get back into the house.",
            "The accountant presented the figures of the third quarter.",
        ),
    ),
    Golden(
        "code",
        "Python: read a text file line by line without loading all of it into memory",
        "with open(path) as handle:\n    for line in handle:\n        process(line)",
        (
            "def area(width: float, height: float) -> float:\n    return width * height",
            "CREATE TABLE memory (id INTEGER PRIMARY KEY, text VARCHAR(80));",
        ),
    ),
    Golden(
        "de",
        "Wie lange ist ein deutscher Reisepass gültig?",
        "Bei Erwachsenen ab 24 Jahren läuft das Ausweisdokument nach zehn Jahren ab.",
        (
            "Die deutsche Reisegruppe wanderte lange über den Pass, ehe es zu regnen begann.",
            "Der Bäcker öffnet um sechs Uhr.",
        ),
    ),
    Golden(
        "zh",
        "水在多少度会沸腾?",
        "在标准大气压下,把它加热到 100 摄氏度,液体就会剧烈地变成蒸汽。",
        ("湖水很清,孩子们在岸边玩了多少个下午。", "这家书店星期一不营业。"),
    ),
    Golden(
        "ar",
        "ما هي عاصمة مصر؟",
        "القاهرة هي مقر الحكومة المصرية وأكبر مدن البلاد.",
        (
            "ما هي الكتب التي قرأتها في مصر هذا الصيف؟",
            "يفتح المتجر أبوابه في الساعة التاسعة صباحا.",
        ),
    ),
    Golden(
        "es",
        "¿Quién escribió Don Quijote de la Mancha?",
        "La novela del hidalgo y su escudero Sancho es obra de Miguel de Cervantes.",
        (
            "¿Quién quitó la mancha de vino del mantel de don Pedro?",
            "El tren sale a las ocho de la mañana.",
        ),
    ),
    Golden(
        "hi",
        "भारत का राष्ट्रीय पक्षी कौन सा है?",
        "मोर को 1963 में देश का राष्ट्रीय पक्षी घोषित किया गया था।",
        ("भारत का सबसे लंबा पुल कौन सी नदी पर है?", "यह दुकान सुबह नौ बजे खुलती है।"),
    ),
)

FILLER = "The minutes of the last meeting were read out and approved without a vote."
"""Says nothing about anything; repeated, it makes a passage long."""


def golden(languages: tuple[Language, ...] = LANGUAGES) -> tuple[Golden, ...]:
    """The questions in these languages, in a fixed order."""
    return tuple(each for each in GOLDEN if each.language in languages)
