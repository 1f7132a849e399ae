import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { DataError } from './error.ts';

export interface Tokenizer {
  readonly bosId: number;
  readonly eosId: number;
  /** The special tokens by the way they are written. */
  readonly special: ReadonlyMap<string, number>;
  /**
   * Token ids of a text, after the beginning-of-sequence token when `bos` is set. Text that spells a special token
   * (`</s>` in somebody's data) is read as ordinary characters, as sentencepiece does; `special: true` makes it the token.
   */
  encode(text: string, options: { readonly bos: boolean; readonly special?: boolean }): number[];
  /** Text of token ids, special tokens left out. */
  decode(ids: readonly number[]): string;
}

/** Ids of the special tokens, as a model's configuration has them. */
export interface SpecialIds {
  readonly bosTokenId: number;
  readonly eosTokenIds: readonly number[];
}

const BOS_NAMES = ['<s>', '<|begin_of_text|>', '<|startoftext|>'];
const EOS_NAMES = ['</s>', '<|end_of_text|>', '<|endoftext|>', '<|eot_id|>'];

/**
 * A tokenizer from the text of a Hugging Face tokenizer.json. `ids` is the model's configuration; without it the
 * special tokens are found by their usual names. Throws DataError 'bad-tokenizer'.
 */
export function loadTokenizer(tokenizerJson: string, ids?: SpecialIds): Tokenizer {
  const { whole, ordinary, special } = build(tokenizerJson);
  const bosId = ids?.bosTokenId ?? findId(whole, BOS_NAMES, 'beginning-of-sequence');
  const eosId = ids?.eosTokenIds[0] ?? findId(whole, EOS_NAMES, 'end-of-sequence');
  for (const [name, id] of [
    ['beginning', bosId],
    ['end', eosId],
  ] as const) {
    if (whole.id_to_token(id) === undefined) {
      throw new DataError(
        'bad-tokenizer',
        `tokenizer.json: has no token ${id}, the model's ${name}-of-sequence token; use the tokenizer that belongs to the model`,
      );
    }
  }
  return {
    bosId,
    eosId,
    special,
    encode(text, { bos, special: readSpecial = false }) {
      const encoded =
        text === '' ? [] : (readSpecial ? whole : ordinary).encode(text, { add_special_tokens: false }).ids;
      return bos ? [bosId, ...encoded] : encoded;
    },
    decode: (tokenIds) => (tokenIds.length === 0 ? '' : whole.decode([...tokenIds], { skip_special_tokens: true })),
  };
}

interface Built {
  readonly whole: HuggingFaceTokenizer;
  readonly ordinary: HuggingFaceTokenizer;
  readonly special: ReadonlyMap<string, number>;
}

function build(tokenizerJson: string): Built {
  try {
    const json = splitIntoWords(JSON.parse(tokenizerJson) as TokenizerFile);
    const added = json.added_tokens ?? [];
    const withoutSpecial = { ...json, added_tokens: added.filter(({ special }) => !special) };
    const config = { clean_up_tokenization_spaces: false };
    return {
      whole: new HuggingFaceTokenizer(json, config),
      ordinary: new HuggingFaceTokenizer(withoutSpecial, config),
      special: new Map(added.filter(({ special }) => special).map(({ id, content }) => [content, id])),
    };
  } catch (error) {
    throw new DataError(
      'bad-tokenizer',
      `tokenizer.json: cannot be read as a Hugging Face tokenizer (${(error as Error).message})`,
    );
  }
}

interface TokenizerFile {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string; readonly special?: boolean }[];
  readonly pre_tokenizer?: unknown;
  readonly model?: { readonly type?: string; readonly vocab?: Readonly<Record<string, number>> };
}

/**
 * A sentencepiece BPE merges over the whole text, in time that grows faster than its length. Where no piece has a `▁`
 * after another character, no merge crosses from one word into the next `▁`, and words may be taken one by one (and
 * from a cache) with the same result.
 */
function splitIntoWords(json: TokenizerFile): TokenizerFile {
  const { pre_tokenizer: preTokenizer, model } = json;
  if (preTokenizer || model?.type !== 'BPE' || !model.vocab) return json;
  if (Object.keys(model.vocab).some((piece) => /[^▁]▁/.test(piece))) return json;
  return {
    ...json,
    pre_tokenizer: { type: 'Split', pattern: { Regex: '▁+[^▁]*|[^▁]+' }, behavior: 'Isolated', invert: false },
  };
}

function findId(tokenizer: HuggingFaceTokenizer, names: readonly string[], what: string): number {
  for (const name of names) {
    const id = tokenizer.token_to_id(name);
    if (id !== undefined) return id;
  }
  throw new DataError('bad-tokenizer', `tokenizer.json: has no ${what} token by any usual name (${names.join(', ')})`);
}
