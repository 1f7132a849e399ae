/** One training row: what the model is given and what it is to answer. */
export interface DataRow {
  readonly prompt: string;
  readonly response: string;
  /** Where the row begins in its file, from 1. */
  readonly line: number;
}

export interface RejectedRow {
  readonly line: number;
  /** Completes "row …"; never quotes the data. */
  readonly reason: string;
}
