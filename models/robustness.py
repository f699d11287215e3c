"""Disturbances of a text that leave its meaning alone, each a pure function of the text and a seed.

They follow the invariance tests of CheckList (Ribeiro et al. 2020): slips of the keys, case, spacing, emoji, links,
full-width forms and another region's punctuation. Numbers are never touched by a slip, nor is a character that says
which way something moves, so that the label stays true.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from models.texts import is_han

_TYPO_SHARE = 0.1
_WORD = re.compile(r"[A-Za-z]{4,}")
_HAN_RUN = re.compile(r"[\u3400-\u9fff]{2,}")
_NEAR_KEYS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
# What a pinyin keyboard or a tired eye confuses; none of them turns a direction.
_ALIKE = (
    "的地得 在再 做作 已以己 账帐 即既 像象向 他她它 哪那 份分 需须 报抱 布步部 公工 司思 股古 市是事 场厂 银垠 行形 "
    "元员圆 其期 及级集 与于 为位 将讲 券卷 务物 业叶 品拼 会汇 客克 户护 团困 科课 技记计 划化话 投头 资姿 目木 "
    "项巷 称撑 机几 构购 家加 发法 年念 月越 日曰 午干 天夭 人入 土士 由田 申甲 网罔 板版 晴睛 今令 名各 季李 博搏"
)
_SOUNDS_OR_LOOKS = {one: group.replace(one, "") for group in _ALIKE.split() for one in group}
_DIRECTIONS = frozenset("涨跌升降增减盈亏赢输买卖多空高低上下好坏利损正负不未没无非否超欠进退强弱快慢大小")
_EMOJI = ("📌", "📢", "🗞️", "📊", "👀", "🔔", "💬", "ℹ️")
_LINKS = ("https://t.co/q7XbZ2kLm9", "https://example.com/n/48213?src=rss", "http://fin.example.cn/a/20431.html")
_TIGHT = re.compile(r"\s*([,;:!?()\"])\s*|\s+([.%])")
_CURLY = str.maketrans({"'": "’", "-": "–"})
_CORNERED = str.maketrans("“”‘’，。：；（）！？", "「」『』,｡:;()!?")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One way to disturb texts of the given languages."""

    name: str
    langs: frozenset[str]
    apply: Callable[[str, random.Random], str]

    def disturbed(self, text: str, seed: int) -> str:
        """Return the text as disturbed by this seed, the same each time and whatever other texts there are."""
        return self.apply(text, random.Random(f"{seed}|{self.name}|{text}".encode("utf-8", "surrogatepass")))


def typos(text: str, rng: random.Random) -> str:
    """Misspell a tenth of the English words of four letters and more, and at least one; first letters stay."""
    words = [match.span() for match in _WORD.finditer(text)]
    hit = {words[at] for at in rng.sample(range(len(words)), _some(len(words)))}
    pieces, end = [], 0
    for start, stop in sorted(hit):
        pieces += [text[end:start], _misspelt(text[start:stop], rng)]
        end = stop
    return "".join(pieces) + text[end:]


def wrong_characters(text: str, rng: random.Random) -> str:
    """Replace a tenth of the Chinese words by look-alikes or sound-alikes, or swap two neighbours, at least once.

    A Chinese word is taken to be two characters long, so one character in twenty is hit.
    """
    places = [at for run in _HAN_RUN.finditer(text) for at in range(run.start(), run.end() - 1)]
    free = [at for at in places if not _DIRECTIONS & set(text[at : at + 2])]
    characters = list(text)
    last = -2
    for at in sorted(rng.sample(free, min(len(free), _some(len(places) // 2)))):
        if at <= last + 1:
            continue
        alike = _SOUNDS_OR_LOOKS.get(characters[at])
        if alike:
            characters[at] = rng.choice(alike)
        else:
            characters[at], characters[at + 1] = characters[at + 1], characters[at]
        last = at
    return "".join(characters)


def double_spaces(text: str, rng: random.Random) -> str:
    """Double about half of the spaces, and begin and end with some."""
    return "  " + re.sub(" ", lambda _: "  " if rng.random() < 0.5 else " ", text) + " "


def tight_punctuation(text: str, _: random.Random) -> str:
    """Leave no space around punctuation."""
    return _TIGHT.sub(lambda found: found[1] or found[2], text)


def spaced_characters(text: str, _: random.Random) -> str:
    """Put a space after every Chinese character that another one follows."""
    return "".join(
        one + " " if is_han(one) and is_han(other) else one for one, other in zip(text, text[1:] + " ", strict=False)
    )


def with_emoji(text: str, rng: random.Random) -> str:
    """Put one or two emoji that take no side at the front or the end."""
    chosen = "".join(rng.sample(_EMOJI, rng.randint(1, 2)))
    return f"{chosen} {text}" if rng.random() < 0.5 else f"{text} {chosen}"


def with_link(text: str, rng: random.Random) -> str:
    """Append a link."""
    return f"{text} {rng.choice(_LINKS)}"


def full_width(text: str, _: random.Random) -> str:
    """Write every printable ASCII character, the space too, in its full-width form."""
    return "".join("\u3000" if c == " " else chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def foreign_punctuation(text: str, _: random.Random) -> str:
    """Use corner brackets and half-width stops in Chinese, and curly quotes and dashes elsewhere."""
    if any(is_han(character) for character in text):
        return text.translate(_CORNERED)
    return re.sub(r'"([^"]*)"', "“\\1”", text).translate(_CURLY)


_EN, _ZH = frozenset({"en"}), frozenset({"zh"})

DISTURBANCES = (
    Disturbance("typos", _EN, typos),
    Disturbance("wrong characters", _ZH, wrong_characters),
    Disturbance("upper case", _EN, lambda text, _: text.upper()),
    Disturbance("lower case", _EN, lambda text, _: text.lower()),
    Disturbance("title case", _EN, lambda text, _: " ".join(word.capitalize() for word in text.split(" "))),
    Disturbance("double spaces", _EN, double_spaces),
    Disturbance("tight punctuation", _EN, tight_punctuation),
    Disturbance("spaced characters", _ZH, spaced_characters),
    Disturbance("emoji", _EN | _ZH, with_emoji),
    Disturbance("link", _EN | _ZH, with_link),
    Disturbance("full-width", _EN | _ZH, full_width),
    Disturbance("foreign punctuation", _EN | _ZH, foreign_punctuation),
)


def _some(words: int) -> int:
    return min(words, max(1, round(words * _TYPO_SHARE)))


def _misspelt(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    slip = rng.choice(("swap", "drop", "double", "near"))
    if slip == "swap":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if slip == "drop":
        return word[:at] + word[at + 1 :]
    if slip == "double":
        return word[:at] + word[at] + word[at:]
    near = rng.choice(_NEAR_KEYS[word[at].lower()])
    return word[:at] + (near.upper() if word[at].isupper() else near) + word[at + 1 :]
