import { readFileSync } from 'node:fs';
import { ALGORITHM_IDS } from '@cotune/fl-core';
import { modelRef, type RunView, runConfig, runView } from '@cotune/fl-core/protocol';
import { describe, expect, it } from 'vitest';
import { fieldTitle } from './hyper-fields.tsx';
import { PRESETS } from './presets.ts';
import { ALGORITHM_FORMS, hyperDefaults, initialForm, parseForm } from './run-form.ts';
import { startChoices, withFittingStart, withStart } from './start-choices.ts';

const model = (allowSoftware: boolean) =>
  modelRef.parse({ id: 'm', title: 'M', url: '/m/', bytes: 1, parameters: 1, allowSoftware });
const named = (allowSoftware: boolean) => {
  const form = initialForm([model(allowSoftware)], [{ id: 'held-out' }]);
  return { ...form, config: { ...form.config, name: 'A run' } };
};

describe('run form', () => {
  it('names fields in words', () => {
    expect(['mu', 'secondMoment', 'beta1'].map(fieldTitle)).toEqual(['Mu', 'Second moment', 'Beta 1']);
  });
  it('offers every algorithm of the registry, each with defaults that its schema accepts', () => {
    expect(ALGORITHM_FORMS.map(({ id }) => id)).toEqual(ALGORITHM_IDS);
    for (const form of ALGORITHM_FORMS) {
      const parsed = parseForm({ ...named(true), algorithmId: form.id, hyper: hyperDefaults(form) });
      expect(parsed).toHaveProperty('config.algorithm.id', form.id);
    }
  });
  it('starts with the demo’s settings and held-out data only for the demo model', () => {
    expect(named(true).config).toMatchObject({ evaluationId: 'held-out', template: 'plain', learningRate: 0.01 });
    expect(named(false).config).toMatchObject({ template: 'alpaca', lora: { rank: 32 } });
    expect(named(false).config.evaluationId).toBeUndefined();
  });
  it('takes each template, the model’s own too', () => {
    const form = named(true);
    for (const template of ['plain', 'alpaca', 'vicuna', 'chat'] as const) {
      const parsed = parseForm({ ...form, config: { ...form.config, template } });
      expect(parsed).toHaveProperty('config.template', template);
    }
  });
  it('takes both ways that a round’s optimiser can begin', () => {
    const form = named(true);
    for (const optimizerState of ['fresh', 'kept'] as const) {
      const parsed = parseForm({ ...form, config: { ...form.config, optimizerState } });
      expect(parsed).toHaveProperty('config.optimizerState', optimizerState);
    }
  });
  it('takes both models that rewards can be measured against', () => {
    const form = named(true);
    for (const reference of ['base', 'start'] as const) {
      const parsed = parseForm({ ...form, config: { ...form.config, task: 'dpo', dpo: { beta: 0.1, reference } } });
      expect(parsed).toHaveProperty('config.dpo.reference', reference);
    }
  });
  it('every preset is a valid configuration', () => {
    for (const { config } of PRESETS) {
      const { config: base } = named(true);
      expect(runConfig.safeParse({ ...base, ...config, algorithm: { id: 'fedavg' } }).error).toBeUndefined();
    }
  });
  it('has the settings of the demo run that the command line starts', () => {
    const file = new URL('../../../coordinator/demo/demo-run.json', import.meta.url);
    expect(PRESETS[0]?.config).toMatchObject(JSON.parse(readFileSync(file, 'utf8')));
  });
  it('refuses what is no number beside each field of each algorithm', () => {
    let numbers = 0;
    for (const form of ALGORITHM_FORMS) {
      for (const { name, type } of form.fields) {
        if (type !== 'number' && type !== 'integer') continue;
        numbers++;
        const hyper = { ...hyperDefaults(form), [name]: Number.NaN };
        const parsed = parseForm({ ...named(true), algorithmId: form.id, hyper });
        expect(parsed).toHaveProperty(['problems', `algorithm.hyper.${name}`], expect.stringMatching(/^Expected a /));
      }
    }
    expect(numbers).toBeGreaterThan(8);
  });
  it('says of limits what is expected', () => {
    const form = named(true);
    const at = (config: object) => {
      const parsed = parseForm({ ...form, config: { ...form.config, ...config } });
      return 'problems' in parsed ? parsed.problems : {};
    };
    expect(at({ rounds: 0 })).toEqual({ rounds: 'Expected more than 0' });
    expect(at({ rounds: 1.5 })).toEqual({ rounds: 'Expected a whole number' });
    expect(at({ lora: { rank: 1000 } })).toEqual({ 'lora.rank': 'Expected at most 256' });
    expect(at({ lora: { targets: [] } })).toEqual({ 'lora.targets': 'Choose at least one' });
    expect(at({ name: '' })).toEqual({ name: 'Fill this in' });
  });
  it('refuses settings that cannot work together', () => {
    const form = named(true);
    const at = (config: object, more: object = {}) => {
      const parsed = parseForm({ ...form, ...more, config: { ...form.config, ...config } });
      return 'problems' in parsed ? parsed.problems : {};
    };
    expect(at({})).toEqual({});
    const pairs = { task: 'dpo', maxSeqLength: 32 };
    expect(at({ ...pairs, dpo: { beta: 0.1, maxPromptLength: 31 } })).toEqual({});
    expect(at({ ...pairs, dpo: { beta: 0.1, maxPromptLength: 32 } })['dpo.maxPromptLength']).toContain(
      'fewer than the 32',
    );
    expect(at({ ...pairs, dpo: { beta: 0 } })).toEqual({ 'dpo.beta': 'Expected more than 0' });
    // A prompt length is no setting of supervised runs.
    expect(at({ ...pairs, task: 'sft', dpo: { beta: 0.1, maxPromptLength: 32 } })).toEqual({});
    expect(at({ participants: { min: 2, max: 4, perRound: 4 } })).toEqual({});
    expect(at({ participants: { min: 2, max: 4, perRound: 5 } })).toHaveProperty(['participants.perRound']);
    expect(at({ learningRate: 1e-4, minLearningRate: 1e-3 })).toHaveProperty('minLearningRate');
    expect(at({ learningRate: 1e-4, minLearningRate: 1e-3, learningRateSchedule: 'constant' })).toEqual({});
    const alone = (client: number) => ({ algorithmId: 'local', hyper: { client } });
    expect(at({ participants: { min: 1, max: 3 } }, alone(2))).toEqual({});
    expect(at({ participants: { min: 1, max: 3 } }, alone(3)).algorithm).toContain('Participant 3 can never join');
  });
  it('tells problems by field', () => {
    const form = named(true);
    const wrong = parseForm({ ...form, config: { ...form.config, name: '', rounds: 0 } });
    expect(Object.keys('problems' in wrong ? wrong.problems : {}).sort()).toEqual(['name', 'rounds']);
    const swapped = parseForm({ ...form, config: { ...form.config, participants: { min: 5, max: 2 } } });
    expect(swapped).toHaveProperty(['problems', 'participants.max']);
  });
});

describe('the first adapter', () => {
  const form = named(true);
  const sha = (digit: string) => digit.repeat(64);
  const runOf = (runId: string, change: Partial<Omit<RunView, 'config'>>, settings: object = {}): RunView =>
    runView.parse({
      ...{
        runId,
        phase: 'finished',
        reason: null,
        round: 3,
        attempt: 0,
        roundPhase: null,
        participants: 2,
        connected: 0,
      },
      ...{ adapter: { url: '/a', sha256: sha('a'), bytes: 1 }, baseline: null, rounds: [], createdAtMs: 1, ...change },
      config: runConfig.parse({ ...form.config, name: runId, algorithm: { id: 'fedavg' }, ...settings }),
    });
  const listed = (...runs: RunView[]) => Object.fromEntries(runs.map((run) => [run.runId, run]));
  const { lora } = form.config;
  const other = { url: '/b', sha256: sha('b'), bytes: 1 };

  it('is a new one, or the result of a finished run of the same model and LoRA, the latest first', () => {
    const runs = listed(
      runOf('first', {}),
      runOf('later', { adapter: other, createdAtMs: 2 }, { lora: { ...lora, dropout: 0.5 } }),
      runOf('same bits', { createdAtMs: 0 }),
      runOf('under way', { phase: 'running' }),
      runOf('without', { adapter: null }),
      runOf('model', {}, { modelId: 'another' }),
      runOf('rank', {}, { lora: { ...lora, rank: 4 } }),
      runOf('alpha', {}, { lora: { ...lora, alpha: 4 } }),
      runOf('targets', {}, { lora: { ...lora, targets: ['q_proj'] } }),
    );
    expect(startChoices(runs, form.config)).toEqual([
      { sha256: sha('b'), name: 'later' },
      { sha256: sha('a'), name: 'first' },
    ]);
    const reversed = [...(lora.targets ?? [])].reverse();
    expect(startChoices(runs, { ...form.config, lora: { ...lora, targets: reversed } })).toHaveLength(2);
    expect(startChoices(runs, { ...form.config, lora: { ...lora, rank: Number.NaN } })).toEqual([]);
  });
  it('is sent as long as it fits what is chosen beside it', () => {
    const runs = listed(runOf('first', {}));
    const config = withStart(form.config, sha('a'));
    expect(parseForm({ ...form, config: withFittingStart(config, runs) })).toHaveProperty(
      'config.startAdapter',
      sha('a'),
    );
    for (const change of [{ modelId: 'another' }, { lora: { ...lora, rank: 4 } }])
      expect(withFittingStart({ ...config, ...change }, runs)).not.toHaveProperty('startAdapter');
    expect(withStart(config, undefined)).not.toHaveProperty('startAdapter');
  });
});
