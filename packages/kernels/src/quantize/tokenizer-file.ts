import type { LlamaConfig } from '../llama/config.ts';
import { ModelFileError } from './error.ts';
import { parseJson, readText } from './read-file.ts';
import type { FileSource } from './source.ts';

export const TOKENIZER = 'tokenizer.json';

/**
 * Text of tokenizer.json, checked to be one that fits the model. Throws ModelFileError 'missing-file', 'malformed', or
 * 'tokenizer-mismatch' when its ids go beyond the embedding, or leave more than half of it unused.
 */
export async function readTokenizer(source: FileSource, config: LlamaConfig): Promise<string> {
  const text = await readText(source, TOKENIZER);
  const json = parseJson(text, TOKENIZER) as { model?: { vocab?: unknown }; added_tokens?: { id?: unknown }[] } | null;
  const vocab = json?.model?.vocab;
  if (typeof vocab !== 'object' || vocab === null) {
    throw new ModelFileError('malformed', TOKENIZER, 'has no model.vocab; expected a Hugging Face fast tokenizer');
  }
  // Unigram models list [piece, score] in the order of their ids; the others map piece to id.
  const ids = Array.isArray(vocab) ? vocab.map((_, id) => id) : Object.values(vocab as Record<string, unknown>);
  let last = -1;
  for (const id of ids) if (typeof id === 'number' && id > last) last = id;
  let lastAdded = last;
  for (const { id } of Array.isArray(json?.added_tokens) ? json.added_tokens : []) {
    if (typeof id === 'number' && id > lastAdded) lastAdded = id;
  }
  if (last >= config.vocabSize || (lastAdded + 1) * 2 < config.vocabSize) {
    const got = last >= config.vocabSize ? last : lastAdded;
    throw new ModelFileError(
      'tokenizer-mismatch',
      TOKENIZER,
      `got ids up to ${got}, expected up to ${config.vocabSize - 1} as in the model; use the tokenizer that belongs to this model`,
    );
  }
  return text;
}

/** The model's chat template: `chat_template.jinja`, else the one in tokenizer_config.json, else null. */
export async function readChatTemplate(source: FileSource): Promise<string | null> {
  if ((await source.size('chat_template.jinja')) !== undefined) return readText(source, 'chat_template.jinja');
  const name = 'tokenizer_config.json';
  if ((await source.size(name)) === undefined) return null;
  const template = (parseJson(await readText(source, name), name) as { chat_template?: unknown } | null)?.chat_template;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return null;
  const named = template.find((entry: { name?: unknown }) => entry?.name === 'default') as
    | { template?: unknown }
    | undefined;
  return typeof named?.template === 'string' ? named.template : null;
}
