import { z } from 'zod';
import type { Algorithm } from './algorithm.ts';
import { fedavg } from './fedavg.ts';
import { local } from './local.ts';

/** Every algorithm, by id. A new one is one file and one line here; settings, forms and conformance tests follow. */
export const ALGORITHMS = { fedavg, local } as const satisfies Readonly<Record<string, Algorithm>>;

export type AlgorithmId = keyof typeof ALGORITHMS;
export const ALGORITHM_IDS = Object.keys(ALGORITHMS) as AlgorithmId[];

type Hyper<Id extends AlgorithmId> = (typeof ALGORITHMS)[Id]['hyper'];
/** An algorithm and its hyperparameters, as a run's configuration holds them. */
export type AlgorithmSettings = { [Id in AlgorithmId]: { id: Id; hyper: z.output<Hyper<Id>> } }[AlgorithmId];
/** The same before defaults are filled in. */
export type AlgorithmSettingsInput = {
  [Id in AlgorithmId]: { id: Id; hyper?: z.input<Hyper<Id>> | undefined };
}[AlgorithmId];

const options = Object.values(ALGORITHMS).map((algorithm) =>
  z.object({ id: z.literal(algorithm.id), hyper: z.prefault(algorithm.hyper as z.ZodType, {}) }),
);
type Option = (typeof options)[number];

/** Discriminated union over the table. TypeScript cannot follow the mapping above, hence the cast to what it amounts to. */
export const algorithmSettings = z.discriminatedUnion('id', options as [Option, ...Option[]]) as unknown as z.ZodType<
  AlgorithmSettings,
  AlgorithmSettingsInput
>;

/** The algorithm that settings name, with its hyperparameter type forgotten; `settings.hyper` fits it. */
export const algorithmOf = (settings: AlgorithmSettings): Algorithm => ALGORITHMS[settings.id];
