import { describe, expect, it } from 'vitest';
import {
  adminCommands,
  handshake,
  impossibleSettings,
  roundOffer,
  runConfig,
  uploadOpen,
  uploadVerdict,
} from './schema.ts';
import { CHUNK_BYTES } from './version.ts';

const minimal = { name: 'News', modelId: 'demo', algorithm: { id: 'fedavg' }, lora: {}, participants: {} };
const sha = 'a'.repeat(64);
const open = {
  runId: 'r',
  round: 0,
  attempt: 0,
  bytes: 20,
  sha256: sha,
  dtype: 'f32',
  examples: 5,
  metrics: { lossNats: 1.5, steps: 10, trainingMs: 12 },
};

describe('run configuration', () => {
  it('fills in every default', () => {
    const config = runConfig.parse(minimal);
    expect(config).toMatchObject({
      rounds: 3,
      batchSize: 16,
      updateDtype: 'f32',
      algorithm: { id: 'fedavg', hyper: { weighting: 'examples' } },
    });
    expect(config.participants).toEqual({ min: 2, max: 1000 });
    const crowd = { ...minimal, participants: { min: 5, max: 4 } };
    expect(runConfig.safeParse(crowd).error?.issues[0]?.path).toEqual(['participants', 'max']);
    expect(runConfig.parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it('takes preference runs, each with its own settings', () => {
    expect(runConfig.parse(minimal)).toMatchObject({ task: 'sft', learningRateSchedule: 'cosine', seeding: 'run' });
    const dpo = { ...minimal, task: 'dpo', dpo: { beta: 0.3, maxPromptLength: 64 }, learningRateSchedule: 'constant' };
    expect(runConfig.parse(dpo)).toMatchObject(dpo);
    expect(runConfig.parse({ ...minimal, task: 'dpo' }).dpo).toEqual({ beta: 0.1 });
    const fromStart = { ...dpo, dpo: { beta: 0.3, reference: 'start' }, startAdapter: sha };
    expect(runConfig.parse(fromStart)).toMatchObject(fromStart);
    expect(runConfig.safeParse({ ...minimal, dpo: { reference: 'other' } }).success).toBe(false);
    expect(runConfig.safeParse({ ...minimal, startAdapter: 'final' }).success).toBe(false);
    expect(runConfig.safeParse({ ...minimal, task: 'rlhf' }).success).toBe(false);
    expect(runConfig.safeParse({ ...minimal, dpo: { beta: 0 } }).success).toBe(false);
    expect(runConfig.safeParse({ ...minimal, seeding: 'none' }).success).toBe(false);
  });

  it.each([
    ['maxSeqLength', { maxSeqLength: 1 }, { maxSeqLength: 2 }],
    [
      'dpo.maxPromptLength',
      { task: 'dpo', maxSeqLength: 64, dpo: { maxPromptLength: 64 } },
      { task: 'dpo', maxSeqLength: 64, dpo: { maxPromptLength: 63 } },
    ],
    ['participants.perRound', { participants: { max: 4, perRound: 5 } }, { participants: { max: 4, perRound: 4 } }],
    [
      'minLearningRate',
      { learningRate: 1e-6, minLearningRate: 2e-6 },
      { learningRate: 1e-6, minLearningRate: 2e-6, learningRateSchedule: 'constant' },
    ],
    [
      'algorithm',
      { algorithm: { id: 'local', hyper: { client: 3 } }, participants: { max: 3 } },
      { algorithm: { id: 'local', hyper: { client: 2 } }, participants: { max: 3 } },
    ],
  ])('says which settings cannot work together: %s', (path, wrong, right) => {
    const problems = (change: object) => impossibleSettings(runConfig.parse({ ...minimal, ...change }));
    expect(problems(wrong).map((one) => one.path)).toEqual([path]);
    expect(problems(right)).toEqual([]);
  });

  it('takes a LoRA target that is named twice once', () => {
    const { lora } = runConfig.parse({ ...minimal, lora: { targets: ['v_proj', 'q_proj', 'v_proj'] } });
    expect(lora.targets).toEqual(['v_proj', 'q_proj']);
  });

  it.each([
    ['an unknown algorithm', { algorithm: { id: 'fedmagic' } }],
    ['an unknown hyperparameter value', { algorithm: { id: 'fedavg', hyper: { weighting: 'loud' } } }],
    ['no steps', { steps: 0 }],
    ['half a round', { rounds: 1.5 }],
    ['a negative learning rate', { learningRate: -1 }],
    ['an empty name', { name: '' }],
    ['an unknown LoRA target', { lora: { targets: ['lm_head'] } }],
  ])('refuses %s', (_, change) => {
    expect(runConfig.safeParse({ ...minimal, ...change }).success).toBe(false);
  });
});

describe('participant messages', () => {
  it('takes an upload and refuses a malformed one', () => {
    expect(uploadOpen.safeParse(open).success).toBe(true);
    const rewards = { accuracy: 0.75, margin: -0.5 };
    expect(uploadOpen.parse({ ...open, metrics: { ...open.metrics, rewards } }).metrics.rewards).toEqual(rewards);
    for (const change of [
      { sha256: sha.toUpperCase() },
      { sha256: sha.slice(1) },
      { bytes: 0 },
      { bytes: 1.5 },
      { round: -1 },
      { dtype: 'f64' },
      { examples: 0 },
      { metrics: { ...open.metrics, lossNats: Number.NaN } },
      { metrics: { ...open.metrics, rewards: { accuracy: 1.5, margin: 0 } } },
      { runId: 'x'.repeat(129) },
    ]) {
      expect(uploadOpen.safeParse({ ...open, ...change }).success, JSON.stringify(change)).toBe(false);
    }
  });

  it('bounds what a client says about itself', () => {
    const client = { name: 'Ada', adapter: 'llvmpipe', features: ['shader-f16'] };
    expect(handshake.safeParse({ protocol: 1, token: 't', client }).success).toBe(true);
    expect(handshake.safeParse({ protocol: 1, token: '', client }).success).toBe(false);
    expect(handshake.safeParse({ protocol: 1, token: 't', client: { ...client, name: 'x'.repeat(81) } }).success).toBe(
      false,
    );
    // Another version still parses, so that the refusal can say `version`.
    expect(handshake.safeParse({ protocol: 99, token: 't', client }).success).toBe(true);
  });

  it('carries a plan with an algorithm of the registry', () => {
    const offer = {
      runId: 'r',
      round: 0,
      attempt: 0,
      deadlineMs: 1,
      adapter: { url: '/api/adapters/x', sha256: sha, bytes: 20 },
      algorithmState: null,
      reference: null,
      counted: null,
      plan: {
        steps: 1,
        batchSize: 1,
        learningRate: 0.1,
        clipNorm: 1,
        weightDecay: 0,
        seed: 1,
        algorithm: { id: 'local' },
      },
    };
    expect(roundOffer.parse(offer).plan).toMatchObject({
      seeding: 'run',
      algorithm: { id: 'local', hyper: { client: 0 } },
    });
    const state = { url: '/api/states/x', sha256: sha, bytes: 90 };
    expect(roundOffer.parse({ ...offer, algorithmState: state }).algorithmState).toEqual(state);
    const { algorithmState: _, ...without } = offer;
    expect(roundOffer.safeParse(without).success).toBe(false);
    expect(roundOffer.safeParse({ ...offer, plan: { ...offer.plan, steps: 0 } }).success).toBe(false);
  });

  it('knows three verdicts', () => {
    expect(uploadVerdict.safeParse({ status: 'accepted' }).success).toBe(true);
    expect(uploadVerdict.safeParse({ status: 'late', round: 2 }).success).toBe(true);
    expect(uploadVerdict.safeParse({ status: 'rejected', code: 'stale', message: 'x', round: 2 }).success).toBe(true);
    expect(uploadVerdict.safeParse({ status: 'rejected', code: 'because', message: 'x', round: 2 }).success).toBe(
      false,
    );
    expect(uploadVerdict.safeParse({ status: 'lost' }).success).toBe(false);
  });
});

it('asks every admin command that changes something for a request id', () => {
  const reads = ['runs:list', 'models:list', 'run:get'];
  for (const [name, { request }] of Object.entries(adminCommands)) {
    expect('requestId' in request.shape, name).toBe(!reads.includes(name));
  }
});

it('leaves room for the message around a chunk in the 266240-byte limit', () => {
  expect(CHUNK_BYTES + 4000).toBeLessThan(266_240);
});
