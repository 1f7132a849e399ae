import { loadTokenizer, openTemplate, type RunConfig, type TokeniseConfig, type Tokenizer } from '@cotune/fl-core';
import type { ModelSource } from '@cotune/kernels';

type Template = TokeniseConfig['template'];

/** How a model reads text: its tokenizer, and the template that a run or a command asks for. */
export interface ModelText {
  readonly tokenizer: Tokenizer;
  /** Throws DataError 'bad-chat-template' for `chat` where the model has none, or one that cannot be read. */
  template(choice: RunConfig['template']): Promise<Template>;
  /** A run's configuration as rows are tokenised by, its template opened. Throws as `template` does. */
  opened<Config extends Pick<RunConfig, 'template'>>(
    config: Config,
  ): Promise<Omit<Config, 'template'> & { readonly template: Template }>;
}

/** Throws DataError or ModelFileError when the model has no tokenizer, or one of another model. */
export async function openModelText(source: ModelSource): Promise<ModelText> {
  const tokenizer = loadTokenizer(await source.tokenizerJson(), source.config);
  const template: ModelText['template'] = async (choice) =>
    openTemplate(choice, await source.chatTemplate(), tokenizer);
  return { tokenizer, template, opened: async (config) => ({ ...config, template: await template(config.template) }) };
}
