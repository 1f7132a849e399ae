import { DataError } from './error.ts';
import { TEMPLATE_IDS, type TemplateChoice, type TemplateId } from './templates.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A model's own template, as its files hold it in Jinja. */
export interface ChatTemplate {
  /**
   * Text of a dialogue, questions and answers in turn. With `answerBegins` the text goes on to where the model's next
   * answer begins. Or why the template does not take it: some allow no third turn, for instance.
   */
  render(
    turns: readonly string[],
    options: { readonly answerBegins: boolean },
  ): { readonly text: string } | { readonly reason: string };
}

/**
 * Reads a chat template (`chatTemplate` of a model's manifest). It sees `messages` of the roles user and assistant,
 * `add_generation_prompt`, `bos_token` and `eos_token`, as Hugging Face's do. The Jinja library is loaded here, so that pages
 * without a chat template do without it. Throws DataError 'bad-chat-template'.
 */
export async function loadChatTemplate(source: string, tokenizer: Tokenizer): Promise<ChatTemplate> {
  const { Template } = await import('@huggingface/jinja');
  let template: InstanceType<typeof Template>;
  try {
    template = new Template(source);
  } catch (error) {
    throw new DataError(
      'bad-chat-template',
      `the model's chat template cannot be read (${(error as Error).message}); choose another template`,
    );
  }
  const spelled = (id: number) => [...tokenizer.special].find(([, special]) => special === id)?.[0] ?? '';
  const specials = [...tokenizer.special.keys()].filter((text) => text.trim() !== '').map(escaped);
  const special = specials.length > 0 ? new RegExp(specials.join('|')) : undefined;
  const names = { bos_token: spelled(tokenizer.bosId), eos_token: spelled(tokenizer.eosId) };
  return {
    render(turns, { answerBegins }) {
      // In the template's text these words are tokens; in somebody's data they must not become ones.
      if (special && turns.some((turn) => special.test(turn))) {
        return { reason: "spells a special token of the model's, which its chat template cannot tell from the token" };
      }
      const messages = turns.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));
      try {
        return { text: template.render({ ...names, messages, add_generation_prompt: answerBegins }) };
      } catch {
        return { reason: `has ${turns.length} turns, which the model's chat template does not take` };
      }
    },
  };
}

/**
 * The template of a run, as tokenizeRow takes it. `chatTemplate` is that of the model's manifest. Throws DataError
 * 'bad-chat-template' for `chat` with a model that has none.
 */
export async function openTemplate(
  choice: TemplateChoice,
  chatTemplate: string | null,
  tokenizer: Tokenizer,
): Promise<TemplateId | ChatTemplate> {
  if (choice !== 'chat') return choice;
  if (chatTemplate !== null) return loadChatTemplate(chatTemplate, tokenizer);
  throw new DataError(
    'bad-chat-template',
    `the model has no chat template of its own; choose another template, for instance ${TEMPLATE_IDS.join(' or ')}`,
  );
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
