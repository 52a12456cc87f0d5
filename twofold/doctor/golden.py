"""Questions whose answer no fit model can miss: the reference of every self-test.

Each question has one passage that answers it, one that shares words with it, and one on something
else. Any model that works puts the answer first; one that has lost its prompt, its head or its
pooling does so in a third of the cases. Written for Twofold; every fact is common knowledge.
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
        "Why is the sky blue?",
        "The sky looks blue because air scatters the short waves of sunlight, which are blue, far "
        "more than the long ones.",
        (
            "She painted the door of the shed a dark blue and the window frames white.",
            "The museum is closed on Mondays.",
        ),
    ),
    Golden(
        "en",
        "What is the capital of Australia?",
        "Canberra is Australia's capital city and the seat of its government.",
        (
            "A company needs capital before it can hire people, buy machines and rent a place to "
            "work. Founders bring it in themselves, borrow it from a bank, or sell a part of the "
            "company to investors, who in turn want to have a say in how it is spent and expect "
            "to be paid back with a profit after some years.",
            "Bring the soup to the boil.",
        ),
    ),
    Golden(
        "en",
        "How long does it take to hard-boil an egg?",
        "Hard-boiled eggs need about ten to twelve minutes in boiling water.",
        (
            "It takes the train three hours to cross the long bridge and reach the border.",
            "The poem was translated into Finnish.",
        ),
    ),
    Golden(
        "en",
        "How do I reset a forgotten password?",
        "If you cannot remember your password, click 'Forgot password' on the sign-in page and "
        "follow the link in the e-mail to set a new one.",
        (
            "The referee forgot to start the clock, so the match had to begin again.",
            "Tulips are planted in autumn.",
        ),
    ),
    Golden(
        "code",
        "Python: read a text file line by line",
        "with open('notes.txt') as file:\n    for line in file:\n        print(line)",
        (
            "def area(width: float, height: float) -> float:\n    return width * height",
            "SELECT name, price FROM products ORDER BY price DESC;",
        ),
    ),
    Golden(
        "de",
        "Wie lange ist ein deutscher Reisepass gültig?",
        "Der deutsche Reisepass gilt für Erwachsene zehn Jahre lang.",
        (
            "Die lange Wanderung über den Pass dauerte wegen des Schnees bis zum Abend.",
            "Der Bäcker öffnet um sechs Uhr.",
        ),
    ),
    Golden(
        "zh",
        "水的沸点是多少度?",
        "在标准大气压下,水在 100 摄氏度时沸腾。",
        ("湖边的温度今天下降了很多,孩子们没有下水。", "这家书店星期一不营业。"),
    ),
    Golden(
        "ar",
        "ما هي عاصمة مصر؟",
        "القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها.",
        (
            "اشتريت ثلاثة كتب عن تاريخ مصر القديمة هذا الصيف.",
            "يفتح المتجر أبوابه في الساعة التاسعة.",
        ),
    ),
    Golden(
        "es",
        "¿Quién escribió Don Quijote de la Mancha?",
        "Miguel de Cervantes es el autor de Don Quijote, publicado en 1605.",
        (
            "La mancha de vino no salió del mantel blanco de la abuela.",
            "El tren sale a las ocho de la mañana.",
        ),
    ),
    Golden(
        "hi",
        "भारत का राष्ट्रीय पक्षी कौन सा है?",
        "मोर भारत का राष्ट्रीय पक्षी है।",
        ("भारत में रेलगाड़ियाँ हर दिन करोड़ों यात्रियों को ले जाती हैं।", "यह दुकान सुबह नौ बजे खुलती है।"),
    ),
)

FILLER = "The minutes of the last meeting were read out and approved without a vote."
"""Says nothing about anything; repeated, it makes a passage long."""


def golden(languages: tuple[Language, ...] = LANGUAGES) -> tuple[Golden, ...]:
    """The questions in these languages, in a fixed order."""
    return tuple(each for each in GOLDEN if each.language in languages)
