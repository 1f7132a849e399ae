/**
 * How a prompt and a response become one text. The completion begins with a space, so that a response has the same
 * tokens whether it is trained on or generated after the prompt.
 */
export interface Template {
  readonly label: string;
  /** What the model is given; also what a user's question becomes at generation. */
  prompt(prompt: string): string;
  /** What follows a prompt that was answered and asked again: the answer and the next question. */
  followUp(answer: string, question: string): string;
  /** What the model is to write, up to its end-of-sequence token. */
  completion(response: string): string;
}

const completion = (response: string): string => ` ${response}`;

/** Every template. `alpaca` and `vicuna` are character for character those of OpenFedLLM. To add one: add a line. */
export const TEMPLATES = {
  plain: {
    label: 'Plain: the prompt, a space, the response',
    prompt: (prompt) => prompt,
    followUp: (answer, question) => ` ${answer}\n\n${question}`,
    completion,
  },
  alpaca: {
    label: 'Alpaca: instruction and response under headings',
    prompt: (prompt) =>
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.' +
      `\n\n### Instruction:\n${prompt} \n\n### Response:`,
    followUp: (answer, question) => ` \n\n### Response: ${answer}\n\n### Instruction:\n${question}`,
    completion,
  },
  vicuna: {
    label: 'Vicuna: a chat between a user and an assistant',
    prompt: (prompt) =>
      'A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, ' +
      `detailed, and polite answers to the user's questions. USER: ${prompt} ASSISTANT:`,
    followUp: (answer, question) => ` ASSISTANT: ${answer} USER: ${question}`,
    completion,
  },
} as const satisfies Readonly<Record<string, Template>>;

/** The prompt of a dialogue: questions and answers in turn, the last one a question. */
export function dialoguePrompt(template: TemplateId, [first = '', ...rest]: readonly string[]): string {
  const { prompt, followUp } = TEMPLATES[template];
  let text = first;
  for (let i = 0; i + 1 < rest.length; i += 2) text += followUp(rest[i] ?? '', rest[i + 1] ?? '');
  return prompt(text);
}

export type TemplateId = keyof typeof TEMPLATES;
export const TEMPLATE_IDS = Object.keys(TEMPLATES) as [TemplateId, ...TemplateId[]];

/** What a run can be set to: one of ours, or the chat template that the model brings (`openTemplate`). */
export const TEMPLATE_CHOICES = [...TEMPLATE_IDS, 'chat'] as const;
export type TemplateChoice = (typeof TEMPLATE_CHOICES)[number];
