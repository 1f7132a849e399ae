import { type RunView, runConfig } from '@cotune/fl-core/protocol';
import type { RunForm } from './run-form.ts';

type Config = RunForm['config'];

/** Adapters that a run with these settings can start from: results of finished runs of the same model and LoRA, latest first. */
export function startChoices(
  runs: Readonly<Record<string, RunView>>,
  { modelId, lora }: Pick<Config, 'modelId' | 'lora'>,
): { sha256: string; name: string }[] {
  const wanted = sameness(lora);
  const fitting = Object.values(runs)
    .filter(
      ({ phase, config }) => phase === 'finished' && config.modelId === modelId && sameness(config.lora) === wanted,
    )
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
  const choices = new Map<string, string>();
  for (const { adapter, config } of fitting) {
    if (adapter && !choices.has(adapter.sha256)) choices.set(adapter.sha256, config.name);
  }
  return [...choices].map(([sha256, name]) => ({ sha256, name }));
}

/** The settings with another adapter to start from; undefined for a new one. */
export function withStart({ startAdapter: _, ...config }: Config, startAdapter: string | undefined): Config {
  return startAdapter === undefined ? config : { ...config, startAdapter };
}

/** The settings without an adapter that they cannot start from any more, since the model or LoRA was changed after it was chosen. */
export function withFittingStart(config: Config, runs: Readonly<Record<string, RunView>>): Config {
  return withStart(config, startChoices(runs, config).find(({ sha256 }) => sha256 === config.startAdapter)?.sha256);
}

/** What two adapters must share; dropout belongs to training alone. undefined while the settings are no valid ones. */
function sameness(lora: Config['lora']): string | undefined {
  const parsed = runConfig.shape.lora.safeParse(lora);
  if (!parsed.success) return undefined;
  const { rank, alpha, targets } = parsed.data;
  return JSON.stringify([rank, alpha, [...targets].sort()]);
}
