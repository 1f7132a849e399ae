import type { AdminEvent, ParticipantView, RunView } from '@cotune/fl-core/protocol';
import { describe, expect, it } from 'vitest';
import { addListedRuns, applyEvent, applyReplay, initialAdminState } from './admin-store.ts';

const participant = (participantId: string, contributions = 0): ParticipantView => ({
  participantId,
  runId: 'r',
  name: participantId,
  adapter: 'gpu',
  connected: true,
  lastSeenMs: 1,
  progress: null,
  uploadedShare: null,
  contributions,
  refusals: 0,
});
const joined = (seq: number, id: string, contributions = 0): AdminEvent => ({
  seq,
  atMs: seq,
  type: 'participant',
  participant: participant(id, contributions),
});
const progress = (seq: number, id: string, step: number): AdminEvent => ({
  seq,
  atMs: seq,
  type: 'progress',
  participantId: id,
  progress: { runId: 'r', round: 0, step, steps: 9, lossNats: 1, tokensPerSecond: 2 },
});

describe('admin events', () => {
  it('ignores an event that was applied before', () => {
    const first = applyEvent(initialAdminState, joined(5, 'a', 2));
    expect(applyEvent(first, joined(5, 'a', 99))).toBe(first);
    expect(applyEvent(first, joined(4, 'a', 99))).toBe(first);
    expect(applyEvent(first, joined(6, 'a', 3)).participants.a?.contributions).toBe(3);
  });
  it('takes a replay of the present, whose events share one number, as a whole', () => {
    const state = applyReplay(initialAdminState, [joined(7, 'a'), joined(7, 'b'), joined(7, 'c')], 8);
    expect(Object.keys(state.participants)).toEqual(['a', 'b', 'c']);
    expect(state.nextSeq).toBe(8);
    expect(applyEvent(state, joined(7, 'd'))).toBe(state);
  });
  it('keeps progress with its participant, and ignores that of strangers', () => {
    const state = applyReplay(initialAdminState, [joined(1, 'a')], 2);
    const moved = applyEvent(state, progress(2, 'a', 4));
    expect(moved.participants.a).toMatchObject({ lastSeenMs: 2, progress: { step: 4 } });
    expect(Object.keys(applyEvent(moved, progress(3, 'x', 4)).participants)).toEqual(['a']);
  });
  it('keeps what events said of a run when an older list comes after them', () => {
    const run = (runId: string, round: number) => ({ runId, round }) as RunView;
    const state = applyEvent(initialAdminState, { seq: 1, atMs: 1, type: 'run', run: run('a', 2) });
    const { runs } = addListedRuns(state, [run('a', 1), run('b', 0)]);
    expect(Object.values(runs).map(({ runId, round }) => [runId, round])).toEqual([
      ['a', 2],
      ['b', 0],
    ]);
  });
});
