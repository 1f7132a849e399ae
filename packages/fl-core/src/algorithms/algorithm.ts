import type { z } from 'zod';

/** What a client's optimiser adds to its gradient: g ← g + mu·(w − w₀) + drift, run by one GPU kernel for every algorithm. */
export interface LocalRule {
  readonly mu: number;
  /** (length) or absent. */
  readonly drift?: Float32Array;
  /** Where the drift acts: on the gradient, or on the weights after the optimiser step (w ← w − lr·drift). */
  readonly driftTarget?: 'gradient' | 'weights';
}

/** Named vectors and numbers that an algorithm carries between rounds; survives structuredClone and disk. */
export interface AlgorithmState {
  readonly vectors: Readonly<Record<string, Float32Array>>;
  readonly numbers: Readonly<Record<string, number>>;
}

/** The state of algorithms that carry nothing. */
export const EMPTY_STATE: AlgorithmState = { vectors: {}, numbers: {} };

/** One client's contribution to a round. */
export interface ClientUpdate {
  readonly participantId: string;
  /** w_k − w (length). */
  readonly delta: Float32Array;
  /** Training examples behind it; the weight p_k = examples / Σ examples. */
  readonly examples: number;
  /** The vectors that the algorithm's `extras` names (SCAFFOLD's control variate delta). */
  readonly extra?: Readonly<Record<string, Float32Array>>;
}

export interface ClientStep {
  readonly state: AlgorithmState;
  /** The vectors that `extras` names (length each). */
  readonly extra?: Readonly<Record<string, Float32Array>>;
}

export interface ServerStep {
  /** Next global vector (length). */
  readonly weights: Float32Array;
  readonly state: AlgorithmState;
}

/** A federated-learning algorithm: both halves, pure. `Hyper` is validated by its own schema. */
export interface Algorithm<Hyper = unknown> {
  readonly id: string;
  readonly title: string;
  /** One sentence for forms and docs. */
  readonly summary: string;
  readonly hyper: z.ZodType<Hyper>;
  /** False for the baseline that never exchanges weights. */
  readonly exchanges: boolean;
  /** For algorithms that do not exchange: the ordinal of the only participant that trains. */
  soleClient?(hyper: Hyper): number;
  /** Whether the only participant trains in those rounds alone for which a federation would draw it. Default: in every round. */
  onlyWhenDrawn?(hyper: Hyper): boolean;
  /**
   * Names of the server state's vectors that every client is given with its offer (SCAFFOLD's c). An algorithm that shares
   * any carries no other vectors in its state, so that clients are sent nothing that they do not need. Default: none.
   */
  readonly shares?: readonly string[];
  /** Names of the vectors that a client sends behind its delta, in this order, each as long as it. Default: none. */
  readonly extras?: readonly string[];
  /** What the server carries between rounds, before the first one. */
  initialState(length: number): AlgorithmState;
  /** What a client carries between rounds, before its first one. */
  initialClientState(length: number): AlgorithmState;
  /** The client half, as data. `shared` holds the vectors that `shares` names. */
  localRule(hyper: Hyper, clientState: AlgorithmState, shared: AlgorithmState['vectors']): LocalRule;
  /** What the client carries on after training, and the vectors that `extras` names; absent = unchanged, none. */
  clientStep?(input: {
    readonly hyper: Hyper;
    readonly clientState: AlgorithmState;
    readonly shared: AlgorithmState['vectors'];
    /** Global vector that the client started from, and what it trained (length). */
    readonly start: Float32Array;
    readonly trained: Float32Array;
    readonly steps: number;
    readonly learningRate: number;
  }): ClientStep;
  /**
   * The server half. Updates come in any order; the result does not depend on it. Inputs are not mutated. Works element by
   * element, so that a server may call it on slices of the vectors and memory does not grow with clients × length.
   */
  serverStep(input: {
    readonly weights: Float32Array;
    readonly updates: readonly ClientUpdate[];
    readonly hyper: Hyper;
    readonly state: AlgorithmState;
    /** N: everyone who had joined the run when the round began, sampled or not. */
    readonly clients: number;
  }): ServerStep;
}
