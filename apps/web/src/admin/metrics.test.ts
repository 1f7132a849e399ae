import {
  type HeldOutMetrics,
  type RoundSummary,
  type RunConfigInput,
  type RunView,
  runConfig,
} from '@cotune/fl-core/protocol';
import { describe, expect, it } from 'vitest';
import { figuresOf, lastRewards, trainingRewards } from '../ui/rounds.ts';
import { lossLines, marginLines, metricColumns } from './metrics.ts';

const evaluation = (lossNats: number, more: Partial<HeldOutMetrics> = {}): HeldOutMetrics => ({
  lossNats,
  accuracy: 0.5,
  rows: 8,
  labelTokens: 9,
  ...more,
});
type Update = RoundSummary['received'][number];
const update = (participantId: string, lossNats: number | null, rewards?: Update['rewards']): Update => ({
  participantId,
  sha256: '0'.repeat(64),
  examples: 4,
  lossNats,
  updateNorm: 1,
  bytes: 10,
  ...(rewards && { rewards }),
});
const round = (number: number, received: Update[], metrics: HeldOutMetrics | null): RoundSummary => ({
  round: number,
  attempt: 0,
  phase: 'published',
  sampled: ['a', 'b'],
  received,
  refused: [],
  kept: false,
  note: null,
  adapterSha256: null,
  evaluation: metrics,
  startedAtMs: 0,
  publishedAtMs: 1,
  deadlineMs: null,
});
const run = (task: RunConfigInput['task'], baseline: HeldOutMetrics | null, rounds: RoundSummary[]): RunView => ({
  runId: 'r',
  config: runConfig.parse({ name: 'n', modelId: 'm', algorithm: { id: 'fedavg' }, lora: {}, participants: {}, task }),
  phase: 'running',
  reason: null,
  round: rounds.length,
  attempt: 0,
  roundPhase: null,
  participants: 2,
  connected: 2,
  adapter: null,
  baseline,
  rounds,
  createdAtMs: 0,
});
const labels = (lines: readonly { label: string }[]) => lines.map(({ label }) => label);

describe('figures of a supervised run', () => {
  const plain = run('sft', evaluation(3), [
    round(0, [update('a', 2), update('b', 4)], null),
    round(1, [], evaluation(1)),
  ]);
  it('has no line of what it lacks', () => {
    expect(figuresOf(plain)).toEqual({
      heldOut: true,
      classes: false,
      heldOutRewards: false,
      trainingRewards: false,
    });
    expect(labels(lossLines(plain))).toEqual(['held-out loss', 'training loss', 'accuracy']);
    expect(marginLines(plain)).toEqual([]);
    expect(metricColumns(plain, lossLines(plain))).toEqual([
      [0, 1, 2],
      [3, null, 1],
      [null, 3, null],
      [0.5, null, 0.5],
    ]);
  });
  it('shows training alone where nothing is held out', () => {
    const alone = run('sft', null, [round(0, [update('a', 2)], null)]);
    expect(labels(lossLines(alone))).toEqual(['training loss']);
  });
  it('shows F1 where the held-out rows have classes', () => {
    const classes = { count: 3, accuracy: 0.7, f1Macro: 0.6, f1Micro: 0.7, f1Weighted: 0.65 };
    const classified = run('sft', evaluation(3), [round(0, [], evaluation(2, { classes }))]);
    expect(labels(lossLines(classified)).at(-1)).toBe('F1 macro');
    expect(metricColumns(classified, lossLines(classified)).at(-1)).toEqual([null, 0.6]);
  });
});

describe('figures of a run on preference pairs', () => {
  const rewards = { accuracy: 0.75, margin: 0.4, chosen: 0.1, rejected: -0.3 };
  const pairs = run('dpo', null, [
    round(
      0,
      [update('a', 0.6, { accuracy: 1, margin: 0.5 }), update('b', 0.7, { accuracy: 0.5, margin: -0.1 })],
      evaluation(0.6, { rewards }),
    ),
    round(1, [update('a', 0.5)], null),
  ]);
  it('has margins of both, and the mean reward accuracy of the participants', () => {
    expect(labels(lossLines(pairs))).toEqual([
      'held-out DPO loss',
      'training DPO loss',
      'reward accuracy',
      'in training',
    ]);
    expect(metricColumns(pairs, lossLines(pairs)).at(-1)).toEqual([0.75, null]);
    expect(labels(marginLines(pairs))).toEqual(['held-out margin', 'training margin']);
    const [rounds, heldOut, trained] = metricColumns(pairs, marginLines(pairs));
    expect([rounds, heldOut]).toEqual([
      [1, 2],
      [0.4, null],
    ]);
    expect(trained?.[0]).toBeCloseTo(0.2, 12);
    expect(trained?.[1]).toBeNull();
  });
  it('tells a participant’s last rewards, not those of others', () => {
    expect(lastRewards(pairs, 'b')).toEqual({ accuracy: 0.5, margin: -0.1 });
    expect(lastRewards(pairs, 'a')).toEqual({ accuracy: 1, margin: 0.5 });
    expect(lastRewards(pairs, 'c')).toBeNull();
    expect(trainingRewards(round(0, [], null))).toBeNull();
  });
});
