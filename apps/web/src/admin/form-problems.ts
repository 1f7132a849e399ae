import { algorithmOf } from '@cotune/fl-core';
import type { RunConfig } from '@cotune/fl-core/protocol';
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

/** Settings that are valid one by one but cannot work together. */
export function impossibleSettings(config: RunConfig): Problems {
  const { task, dpo, maxSeqLength, participants, learningRate, minLearningRate, learningRateSchedule } = config;
  const problems: Record<string, string> = {};
  if (maxSeqLength < 2) problems.maxSeqLength = 'Expected at least 2: one token to read and one to learn';
  if (task === 'dpo' && dpo.maxPromptLength !== undefined && dpo.maxPromptLength >= maxSeqLength) {
    problems['dpo.maxPromptLength'] =
      `Leave room for the answers: expected fewer than the ${formatCount(maxSeqLength)} tokens of an example`;
  }
  if (participants.perRound !== undefined && participants.perRound > participants.max) {
    problems['participants.perRound'] = `Only ${formatCount(participants.max)} participants may join`;
  }
  if (learningRateSchedule === 'cosine' && minLearningRate > learningRate) {
    problems.minLearningRate = 'Expected at most the learning rate, from which it falls';
  }
  const sole = algorithmOf(config.algorithm).soleClient?.(config.algorithm.hyper);
  if (sole !== undefined && sole >= participants.max) {
    problems.algorithm = `Participant ${sole} can never join: they are counted from 0, and at most ${formatCount(participants.max)} may come`;
  }
  return problems;
}
