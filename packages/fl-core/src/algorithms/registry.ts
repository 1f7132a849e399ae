import { z } from 'zod';
import type { Algorithm } from './algorithm.ts';
import { fedadagrad } from './fedadagrad.ts';
import { fedadam } from './fedadam.ts';
import { fedavg } from './fedavg.ts';
import { fedavgm } from './fedavgm.ts';
import { fedprox } from './fedprox.ts';
import { fedyogi } from './fedyogi.ts';
import { local } from './local.ts';
import { scaffold } from './scaffold.ts';

/** Every algorithm, by id. A new one is one file and one line here; settings, forms and conformance tests follow. */
export const ALGORITHMS = {
  fedavg,
  fedprox,
  scaffold,
  fedavgm,
  fedadagrad,
  fedyogi,
  fedadam,
  local,
} as const satisfies AlgorithmTable;

/** Algorithms by their ids. */
export type AlgorithmTable = Readonly<Record<string, Algorithm>>;

/** An algorithm of a table and its hyperparameters. */
export type SettingsOf<Table extends AlgorithmTable> = {
  [Id in keyof Table & string]: { id: Id; hyper: z.output<Table[Id]['hyper']> };
}[keyof Table & string];
/** The same before defaults are filled in. */
export type SettingsInputOf<Table extends AlgorithmTable> = {
  [Id in keyof Table & string]: { id: Id; hyper?: z.input<Table[Id]['hyper']> | undefined };
}[keyof Table & string];

/** Schema of `{ id, hyper }` over a table: the id chooses the schema of the hyperparameters, whose defaults are filled in. */
export function settingsSchema<Table extends AlgorithmTable>(
  table: Table,
): z.ZodType<SettingsOf<Table>, SettingsInputOf<Table>> {
  const options = Object.values(table).map((algorithm) =>
    z.object({ id: z.literal(algorithm.id), hyper: z.prefault(algorithm.hyper, {}) }),
  );
  type Option = (typeof options)[number];
  // TypeScript cannot follow the mapping above, hence the cast to what it amounts to.
  return z.discriminatedUnion('id', options as [Option, ...Option[]]) as unknown as z.ZodType<
    SettingsOf<Table>,
    SettingsInputOf<Table>
  >;
}

export type AlgorithmId = keyof typeof ALGORITHMS;
export const ALGORITHM_IDS = Object.keys(ALGORITHMS) as AlgorithmId[];

/** An algorithm and its hyperparameters, as a run's configuration holds them. */
export type AlgorithmSettings = SettingsOf<typeof ALGORITHMS>;
export type AlgorithmSettingsInput = SettingsInputOf<typeof ALGORITHMS>;

export const algorithmSettings = settingsSchema(ALGORITHMS);

/** The algorithm that settings name, with its hyperparameter type forgotten; `settings.hyper` fits it. */
export const algorithmOf = (settings: AlgorithmSettings): Algorithm => ALGORITHMS[settings.id];
