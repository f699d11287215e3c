"""Train the shipped tokenizer: byte-level BPE over English and Chinese.

Normalisation is part of `tokenizer.json`, so training and inference cannot differ: NFKC (full-width forms become
half-width), lower case, links dropped; white space only separates. Digits stand alone, because the size of a number is
read from its digits.
The most common Chinese characters are given to the trainer as well: a small corpus would leave many of them as bytes.
"""

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

END = "<|end|>"
PAD = "<|pad|>"
LINK = r"https?://\S+|t\.co/\S+|www\.\S+"


def build_tokenizer(vocabulary_size: int, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn `vocabulary_size` tokens from the texts; every encoding ends with `END`, whose state is what is pooled."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(LINK), " "),
            normalizers.Replace(Regex(r"&amp;"), "&"),
            normalizers.Replace(Regex(r"[\s\p{Cc}\p{Cf}]+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), behavior="removed"),
            pre_tokenizers.Split(Regex(r"\p{Han}+|\p{N}|[\p{L}&&[^\p{Han}]]+|."), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        max_token_length=24,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_with_common_characters(texts), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def common_characters() -> str:
    """Return the 3,755 characters of GB 2312 level 1, the ones in everyday use."""
    rows = range(0xB0, 0xD8)
    cells = range(0xA1, 0xFF)
    return "".join(bytes((row, cell)).decode("gb2312", "ignore") for row in rows for cell in cells)


def _with_common_characters(texts: Iterable[str]) -> Iterator[str]:
    yield from texts
    for _ in range(12):
        yield " , ".join(common_characters())
