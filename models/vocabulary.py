"""The shipped tokenizer: the teacher's Unigram vocabulary, cut down to the pieces that English and Chinese finance use.

The teacher (multilingual-e5-small) knows 250,000 pieces of a hundred languages; the student keeps those that the
training texts use, then the likeliest Chinese words and emoji, so that text nobody has labelled is still read in whole
words. Normalisation is part of `tokenizer.json`, so training and inference cannot differ: NFKC (full-width forms become
half-width), lower case, links dropped, white space joined, none between Chinese characters. Digits stand alone, because
the size of a number is read from its digits, and take no space in front, which would cost a token each. The space that
begins a text is put there by the normaliser, after links and white space are gone: the pre-tokenizer would look at the
text as it came.
"""

import json
import re
from collections.abc import Sequence

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from models.tokens import LINK, common_characters

_SPECIAL = 4
"""The teacher's first pieces: start, padding, end, unknown."""
_WORTH_KEEPING = re.compile(r"^▁?(?:[\u4e00-\u9fff]+|[\u2600-\u27bf\U0001f300-\U0001faff]+)$")
_SEEN_ENOUGH = 2


def pruned_tokenizer(teacher: Tokenizer, texts: Sequence[str], size: int) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """Return a tokenizer of `size` pieces, and each piece's id in the teacher's vocabulary (size,).

    Every encoding begins with the start piece, which attention rests on, and ends with the end piece, whose state is
    what is pooled.
    """
    pieces: list[tuple[str, float]] = [
        (piece, score) for piece, score in json.loads(teacher.to_str())["model"]["vocab"]
    ]
    kept = _kept_pieces(pieces, texts, size)
    tokenizer = _unigram([pieces[piece] for piece in kept])
    start, padding, end, unknown = (pieces[piece][0] for piece in range(_SPECIAL))
    tokenizer.add_special_tokens([start, padding, end, unknown])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 0), (end, 2)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        pad_token=padding,
        eos_token=end,
        unk_token=unknown,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    return wrapped, kept


def _kept_pieces(pieces: Sequence[tuple[str, float]], texts: Sequence[str], size: int) -> list[int]:
    whole = _unigram(pieces)
    seen = np.zeros(len(pieces))
    for encoding in whole.encode_batch(list(texts)):
        np.add.at(seen, encoding.ids, 1)
    for character in common_characters():
        piece = whole.token_to_id(character)
        if piece is not None:
            seen[piece] = max(seen[piece], _SEEN_ENOUGH)

    def worth(piece: int) -> tuple[float, bool, float]:
        name, score = pieces[piece]
        return (seen[piece] if seen[piece] >= _SEEN_ENOUGH else 0.0, bool(_WORTH_KEEPING.match(name)), score)

    ranked = sorted(range(_SPECIAL, len(pieces)), key=worth, reverse=True)
    return [*range(_SPECIAL), *sorted(ranked[: size - _SPECIAL])]


def _unigram(pieces: Sequence[tuple[str, float]]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(list(pieces), _SPECIAL - 1, False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(LINK), " "),
            normalizers.Replace(Regex(r"&amp;"), "&"),
            normalizers.Replace(Regex(r"[\s\p{Cc}\p{Cf}]+"), " "),
            normalizers.Strip(),
            normalizers.Prepend(" "),
            normalizers.Replace(Regex(r"(?<=\p{Han}) (?=\p{Han})|^ (?=\p{Han})| (?=[0-9])"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Metaspace(prepend_scheme="never")]
    )
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer
