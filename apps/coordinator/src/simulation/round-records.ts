import {
  algorithmOf,
  encodedBytes,
  type RoundSummary,
  type RunState,
  referenceAdapter,
  roundLearningRate,
} from '@cotune/fl-core';
import type { CellResult, RoundRecord } from './records.ts';

/** The lines of `metrics.jsonl` that a run's state amounts to; the same after a restart. `length`: values of an adapter. */
export function roundRecords(state: RunState, startSha256: string | null, length: number): RoundRecord[] {
  if (state.adapter === null) return [];
  const [first] = state.history;
  const startedMs = first?.startedAtMs ?? state.current?.startedAtMs ?? state.createdAtMs;
  const untuned: RoundRecord = {
    round: -1,
    learning_rate: null,
    clients: [],
    train_loss_nats: null,
    train_rewards: null,
    held_out: state.baseline,
    bytes_up: 0,
    bytes_down: 0,
    update_norms: [],
    kept: false,
    note: null,
    adapter_sha256: startSha256,
    seconds: (startedMs - state.createdAtMs) / 1000,
  };
  return [untuned, ...state.history.map((summary) => recordOf(summary, state, length))];
}

/** Optimiser steps that each client took in all rounds, of the updates that counted. */
export function clientSteps({ config, history, participants }: RunState): number[] {
  const rounds = (participantId: string) =>
    history.filter(({ kept, received }) => !kept && received.some((update) => update.participantId === participantId))
      .length;
  return participants.map(({ participantId }) => rounds(participantId) * config.steps);
}

/** Rounds in which clients trained in vain, and why the last of them kept the model. */
export function keptRounds(rounds: readonly RoundRecord[]): Pick<CellResult, 'kept_rounds' | 'kept_note'> {
  const lost = rounds.filter(({ kept, clients }) => kept && clients.length > 0);
  return { kept_rounds: lost.length, kept_note: lost.at(-1)?.note ?? null };
}

function recordOf(summary: RoundSummary, state: RunState, length: number): RoundRecord {
  const { config } = state;
  const ordinals = new Map(state.participants.map(({ participantId }, ordinal) => [participantId, ordinal]));
  const received = summary.received
    .map((update) => ({ ...update, ordinal: ordinals.get(update.participantId) ?? -1 }))
    .sort((a, b) => a.ordinal - b.ordinal);
  const weights = received.map(({ examples }) => examples);
  const shares = (algorithmOf(config.algorithm).shares?.length ?? 0) > 0 && summary.round > 0;
  const down = encodedBytes(length, 'f32') + (shares ? (state.algorithmState?.bytes ?? 0) : 0);
  const rewards = received.flatMap((update) => (update.rewards ? [update.rewards] : []));
  return {
    round: summary.round,
    learning_rate: roundLearningRate(config, summary.round),
    clients: received.map(({ ordinal }) => ordinal),
    train_loss_nats: weightedMean(
      received.map(({ lossNats }) => lossNats),
      weights,
    ),
    train_rewards:
      rewards.length === received.length && rewards.length > 0
        ? {
            accuracy:
              weightedMean(
                rewards.map(({ accuracy }) => accuracy),
                weights,
              ) ?? 0,
            margin:
              weightedMean(
                rewards.map(({ margin }) => margin),
                weights,
              ) ?? 0,
          }
        : null,
    held_out: summary.evaluation,
    bytes_up: received.reduce((sum, { bytes }) => sum + bytes, 0),
    bytes_down: summary.sampled.length * down + referenceBytes(summary, state),
    update_norms: received.map(({ updateNorm }) => updateNorm),
    kept: summary.kept,
    note: summary.note,
    adapter_sha256: summary.adapterSha256,
    seconds: ((summary.publishedAtMs ?? summary.startedAtMs) - summary.startedAtMs) / 1000,
  };
}

/** Bytes of DPO's reference adapter that went to clients: once to each, unless the first one that it was offered is the reference. */
function referenceBytes({ round, sampled }: RoundSummary, state: RunState): number {
  const reference = referenceAdapter(state);
  const before = state.history.filter((summary) => summary.round < round);
  if (!reference || before.every(({ adapterSha256 }) => (adapterSha256 ?? reference.sha256) === reference.sha256))
    return 0;
  const newcomers = sampled.filter((one) => !before.some((summary) => summary.sampled.includes(one)));
  return newcomers.length * reference.bytes;
}

/** null without values, or where one of them is not a finite number. */
function weightedMean(values: readonly (number | null)[], weights: readonly number[]): number | null {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (values.length === 0 || total === 0 || values.includes(null)) return null;
  return values.reduce<number>((sum, value, i) => sum + ((value ?? 0) * (weights[i] ?? 0)) / total, 0);
}
