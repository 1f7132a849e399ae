/** One training row: what the model is given and what it is to answer. */
export interface DataRow {
  /** Questions and answers of a conversation before this one, first to last. */
  readonly history?: readonly { readonly prompt: string; readonly response: string }[];
  readonly prompt: string;
  readonly response: string;
  /** Where the row begins in its file, from 1. */
  readonly line: number;
  /** Values of the columns that were asked for (`keepColumns`), as text. */
  readonly columns?: Readonly<Record<string, string>>;
}

export interface RejectedRow {
  readonly line: number;
  /** Completes "row …"; never quotes the data. */
  readonly reason: string;
}
