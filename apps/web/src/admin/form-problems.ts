import { impossibleSettings, type RunConfig } from '@cotune/fl-core/protocol';
import type { z } from 'zod';
import { formatCount, formatSetting } from '../ui/units.ts';

/** Sentences about what must be corrected, by field path ("lora.rank"). */
export type Problems = Readonly<Record<string, string>>;

/** What a schema found wrong with a field, in words for who fills in the form. */
export function explainIssue(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.expected === 'int') return 'Expected a whole number';
      return issue.expected === 'number' ? 'Expected a number, such as 12, 0.001 or 1e-3' : 'Fill this in';
    case 'too_small': {
      if (issue.origin === 'string') return 'Fill this in';
      if (issue.origin === 'array') return 'Choose at least one';
      return `Expected ${issue.inclusive ? 'at least' : 'more than'} ${formatSetting(Number(issue.minimum))}`;
    }
    case 'too_big':
      return `Expected ${issue.inclusive ? 'at most' : 'less than'} ${formatSetting(Number(issue.maximum))}`;
    default:
      return issue.message;
  }
}

/** The form's words for settings that cannot work together, by field path; those of the protocol for any other. */
const WORDS: Readonly<Record<string, (config: RunConfig) => string>> = {
  maxSeqLength: () => 'Expected at least 2: one token to read and one to learn',
  'dpo.maxPromptLength': ({ maxSeqLength }) =>
    `Leave room for the answers: expected fewer than the ${formatCount(maxSeqLength)} tokens of an example`,
  'participants.perRound': ({ participants }) => `Only ${formatCount(participants.max)} participants may join`,
  minLearningRate: () => 'Expected at most the learning rate, from which it falls',
};

/** Settings that are valid one by one but cannot work together. */
export function togetherProblems(config: RunConfig): Problems {
  return Object.fromEntries(
    impossibleSettings(config).map(({ path, message }) => [
      path,
      WORDS[path]?.(config) ?? message.charAt(0).toUpperCase() + message.slice(1),
    ]),
  );
}
