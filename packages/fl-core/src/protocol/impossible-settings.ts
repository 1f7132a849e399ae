import { algorithmOf } from '../algorithms/registry.ts';
import type { RunConfig } from './run-schema.ts';

/** A setting that cannot work together with the others, by its path (`participants.perRound`). */
export interface ImpossibleSetting {
  readonly path: string;
  readonly message: string;
}

/** Settings that are valid one by one but with which no round would ever end well; none when the run can work. */
export function impossibleSettings(config: RunConfig): readonly ImpossibleSetting[] {
  const { task, dpo, maxSeqLength, participants, learningRate, minLearningRate, learningRateSchedule } = config;
  const sole = algorithmOf(config.algorithm).soleClient?.(config.algorithm.hyper) ?? 0;
  const wrong: readonly (readonly [boolean, string, string])[] = [
    [maxSeqLength < 2, 'maxSeqLength', `got ${maxSeqLength}, expected at least 2 tokens: one to read and one to learn`],
    [
      task === 'dpo' && (dpo.maxPromptLength ?? 0) >= maxSeqLength,
      'dpo.maxPromptLength',
      `got ${dpo.maxPromptLength}, expected less than maxSeqLength (${maxSeqLength}): answers need room`,
    ],
    [
      (participants.perRound ?? 0) > participants.max,
      'participants.perRound',
      `got ${participants.perRound}, expected at most participants.max (${participants.max})`,
    ],
    [
      learningRateSchedule === 'cosine' && minLearningRate > learningRate,
      'minLearningRate',
      `got ${minLearningRate}, expected at most learningRate (${learningRate}), from which it falls`,
    ],
    [
      sole >= participants.max,
      'algorithm',
      `participant ${sole} can never join: they are counted from 0, and at most ${participants.max} may come`,
    ],
  ];
  return wrong.flatMap(([applies, path, message]) => (applies ? [{ path, message }] : []));
}
