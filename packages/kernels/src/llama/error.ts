/** What a model, an adapter or a batch got wrong; callers branch on the code, people read the message. */
export type ModelErrorCode =
  | 'missing-tensor'
  | 'wrong-shape'
  | 'wrong-dtype'
  | 'bad-adapter'
  | 'bad-token'
  | 'bad-labels'
  | 'too-long'
  | 'diverged'
  | 'imprecise';

export class ModelError extends Error {
  readonly code: ModelErrorCode;
  constructor(code: ModelErrorCode, message: string) {
    super(message);
    this.name = 'ModelError';
    this.code = code;
  }
}
