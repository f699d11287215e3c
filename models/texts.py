"""What happens to a text before the tokenizer sees it, and which texts share a forward pass."""

import hashlib
from collections.abc import Sequence

_LONGEST_TOKEN = 24


def presentable(text: str, max_tokens: int) -> str:
    """Return the text as valid Unicode without null bytes, cut to what `max_tokens` can at most cover.

    The tokenizer is written in Rust and refuses lone surrogates; cutting first keeps a text of 20,000 characters cheap.
    """
    head = text[: max_tokens * _LONGEST_TOKEN].replace("\x00", " ")
    return head.encode("utf-8", "replace").decode("utf-8")


def titled(title: str | None, text: str) -> str:
    """Return what is scored of a message: the text, with the title in front unless the text opens with it already."""
    title = (title or "").strip()
    return text if not title or text.startswith((title, f"【{title}")) else f"{title}. {text}"


def content_key(text: str) -> bytes:
    """Return 16 bytes that identify the exact text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def length_sorted_groups(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Group positions, shortest first, so that rows times longest row fits the budget; a longer row is alone."""
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and (len(groups[-1]) + 1) * lengths[position] <= token_budget:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups


def written_in(text: str) -> str:
    """Return `zh` for a text with Chinese characters, else `en`: a guess for rows that do not say."""
    return "zh" if any(is_han(character) for character in text) else "en"


def is_han(character: str) -> bool:
    """Tell whether a character is a Chinese one of the common block or its first extension."""
    return "\u3400" <= character <= "\u9fff"
