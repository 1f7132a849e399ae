"""Trains the demo tokenizer with sentencepiece and writes it as a Hugging Face tokenizer.json."""

import io
import json
from pathlib import Path

import sentencepiece

UNK, BOS, EOS = 0, 1, 2
SPECIAL = ('<unk>', '<s>', '</s>')


def train_tokenizer(
    lines: list[str], vocab_size: int, whole_words: tuple[str, ...]
) -> sentencepiece.SentencePieceProcessor:
    """BPE with byte fallback and no normalisation. Raises when one of `whole_words` did not become one token."""
    # One line with every printable ASCII character, so that ordinary text typed by a user needs no byte tokens.
    alphabet = ' '.join(chr(code) for code in range(0x21, 0x7F))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([alphabet, *lines]),
        model_writer=model,
        model_type='bpe',
        vocab_size=vocab_size,
        byte_fallback=True,
        normalization_rule_name='identity',
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        num_threads=1,
        minloglevel=1,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    for word in whole_words:
        pieces = processor.encode(word, out_type=str)
        if len(pieces) != 1:
            raise ValueError(f'"{word}" is {pieces}, not one token; put it more often into the tokenizer corpus')
    return processor


def merges_of(vocab: dict[str, int]) -> list[list[str]]:
    """Every way to join two pieces into a third, in the order in which sentencepiece learned the joined pieces."""
    merges = []
    for piece, rank in vocab.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocab and right in vocab:
                merges.append((rank, vocab[left], vocab[right], left, right))
    return [[left, right] for *_, left, right in sorted(merges)]


def write_tokenizer(processor: sentencepiece.SentencePieceProcessor, directory: Path, max_length: int) -> None:
    """Write tokenizer.json (Llama's normaliser, byte fallback, `<s>` in front) and tokenizer_config.json."""
    vocab = {processor.id_to_piece(index): index for index in range(processor.get_piece_size())}
    mergeable = {p: i for p, i in vocab.items() if not (processor.is_byte(i) or processor.is_control(i) or i == UNK)}
    added = [
        {
            'id': i,
            'content': c,
            'single_word': False,
            'lstrip': False,
            'rstrip': False,
            'normalized': False,
            'special': True,
        }
        for i, c in enumerate(SPECIAL)
    ]
    bos = {'SpecialToken': {'id': '<s>', 'type_id': 0}}
    tokenizer = {
        'version': '1.0',
        'truncation': None,
        'padding': None,
        'added_tokens': added,
        'normalizer': {
            'type': 'Sequence',
            'normalizers': [
                {'type': 'Prepend', 'prepend': '▁'},
                {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '▁'},
            ],
        },
        'pre_tokenizer': None,
        'post_processor': {
            'type': 'TemplateProcessing',
            'single': [bos, {'Sequence': {'id': 'A', 'type_id': 0}}],
            'pair': [
                bos,
                {'Sequence': {'id': 'A', 'type_id': 0}},
                {'SpecialToken': {'id': '<s>', 'type_id': 1}},
                {'Sequence': {'id': 'B', 'type_id': 1}},
            ],
            'special_tokens': {'<s>': {'id': '<s>', 'ids': [BOS], 'tokens': ['<s>']}},
        },
        'decoder': {
            'type': 'Sequence',
            'decoders': [
                {'type': 'Replace', 'pattern': {'String': '▁'}, 'content': ' '},
                {'type': 'ByteFallback'},
                {'type': 'Fuse'},
                {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0},
            ],
        },
        'model': {
            'type': 'BPE',
            'dropout': None,
            'unk_token': '<unk>',
            'continuing_subword_prefix': None,
            'end_of_word_suffix': None,
            'fuse_unk': True,
            'byte_fallback': True,
            'ignore_merges': False,
            'vocab': vocab,
            'merges': merges_of(mergeable),
        },
    }
    config = {
        'add_bos_token': True,
        'add_eos_token': False,
        'bos_token': '<s>',
        'eos_token': '</s>',
        'unk_token': '<unk>',
        'pad_token': None,
        'clean_up_tokenization_spaces': False,
        'legacy': True,
        'model_max_length': max_length,
        'sp_model_kwargs': {},
        'tokenizer_class': 'LlamaTokenizer',
    }
    (directory / 'tokenizer.json').write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(',', ':')) + '\n')
    (directory / 'tokenizer_config.json').write_text(json.dumps(config, indent=2) + '\n')
    (directory / 'tokenizer.model').write_bytes(processor.serialized_model_proto())
