/**
 * A tokenizer.json of the sentencepiece kind, small enough for tests: bytes, printable ASCII, `▁` and a few merges.
 * ids: 0 <unk>, 1 <s>, 2 </s>, 3–258 bytes, then pieces. `:` and `▁` merge into no piece, `▁n`, `ne`, `▁ne`, `▁▁` are pieces.
 */
export function tinyTokenizerJson(): string {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const ascii = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const merges: [string, string][] = [
    ['▁', 'n'],
    ['n', 'e'],
    ['▁n', 'e'],
    ['▁', '▁'],
    ['t', 'h'],
    ['▁', 'th'],
    ['e', 'r'],
  ];
  const pieces = ['<unk>', '<s>', '</s>', ...bytes, '▁', ...ascii, ...merges.map(([a, b]) => a + b)];
  const special = (id: number) => ({
    id,
    content: pieces[id],
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return JSON.stringify({
    version: '1.0',
    added_tokens: [special(0), special(1), special(2)],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges,
    },
  });
}
