import {
  type AlgorithmSettingsInput,
  type AlgorithmState,
  algorithmOf,
  algorithmSettings,
  type ClientUpdate,
  exampleOrder,
  type LocalTrainer,
  type OptimizerState,
  roundSeed,
} from '@cotune/fl-core';

export interface Course {
  readonly algorithm: AlgorithmSettingsInput;
  /** The first adapter. */
  readonly weights: Float32Array;
  readonly rounds: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** In order of joining. */
  readonly people: readonly { participantId: string; trainer: LocalTrainer; examples: number }[];
  /** The adapter of DPO's reference model. Default: the base alone. */
  readonly reference?: Float32Array;
  /** Default: fresh. */
  readonly optimizerState?: 'fresh' | 'kept';
  /** What becomes of somebody before a round: it is not there, or its state is gone. */
  readonly before?: (round: number, ordinal: number) => 'absent' | 'forgets' | undefined;
}

/** A run without rounds, sockets, slices and codecs: the algorithm's two halves in a loop over whole vectors. Run seed 1. */
export async function plainLoop(course: Course): Promise<Float32Array> {
  const { rounds, steps, batchSize, people } = course;
  const settings = algorithmSettings.parse(course.algorithm);
  const algorithm = algorithmOf(settings);
  const { hyper } = settings;
  const { length } = course.weights;
  let weights = course.weights;
  let state = algorithm.initialState(length);
  const own = new Map<string, AlgorithmState>();
  const moments = new Map<string, OptimizerState>();
  const sole = algorithm.soleClient?.(hyper);
  for (let round = 0; round < rounds; round++) {
    const learningRate = 1e-6 + 0.5 * (course.learningRate - 1e-6) * (1 + Math.cos((Math.PI * round) / rounds));
    const start = weights;
    const updates: ClientUpdate[] = [];
    for (const [ordinal, { participantId, trainer, examples }] of people.entries()) {
      if (sole !== undefined && sole !== ordinal) continue;
      const what = course.before?.(round, ordinal);
      if (what === 'absent') continue;
      if (what === 'forgets') for (const kept of [own, moments]) kept.delete(participantId);
      const clientState = own.get(participantId) ?? algorithm.initialClientState(length);
      const seed = roundSeed(1, round, ordinal);
      const optimizer = moments.get(participantId);
      const { weights: trained, optimizer: after } = await trainer.train({
        weights: start,
        order: exampleOrder({ examples, count: steps * batchSize, seed }),
        steps,
        batchSize,
        learningRate,
        clipNorm: 1,
        weightDecay: 0,
        seed,
        rule: algorithm.localRule(hyper, clientState, state.vectors),
        ...(course.reference && { reference: course.reference }),
        ...(optimizer && { optimizer }),
        signal: new AbortController().signal,
        onStep: () => {},
      });
      const end = { hyper, clientState, shared: state.vectors, start, trained, steps, learningRate };
      const step = algorithm.clientStep?.(end);
      if (step) own.set(participantId, step.state);
      if (after && course.optimizerState === 'kept') moments.set(participantId, after);
      const delta = trained.map((value, i) => value - (start[i] ?? 0));
      updates.push({ participantId, delta, examples, ...(step?.extra && { extra: step.extra }) });
    }
    ({ weights, state } = algorithm.serverStep({ weights, updates, hyper, state, clients: people.length }));
  }
  return weights;
}
