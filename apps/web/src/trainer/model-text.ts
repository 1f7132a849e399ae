import { loadTokenizer, openTemplate, type RunConfig, type Tokenizer } from '@cotune/fl-core';
import { type FileSource, parseManifest } from '@cotune/kernels';

/** How a model reads text: its tokenizer, and how a run's template puts a dialogue. */
export interface ModelText {
  readonly tokenizer: Tokenizer;
  /** Throws DataError 'bad-chat-template'. */
  template(choice: RunConfig['template']): ReturnType<typeof openTemplate>;
}

/** Of a model directory. Throws ModelFileError, DataError. */
export async function readModelText(source: FileSource): Promise<ModelText> {
  const text = async (name: string) => new TextDecoder().decode(await source.read(name));
  const { architecture, chatTemplate } = parseManifest(JSON.parse(await text('model.json')));
  const tokenizer = loadTokenizer(await text('tokenizer.json'), architecture);
  return { tokenizer, template: (choice) => openTemplate(choice, chatTemplate, tokenizer) };
}
