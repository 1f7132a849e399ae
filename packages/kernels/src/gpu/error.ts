/** What went wrong on the GPU side; callers branch on the code, people read the message. */
export type GpuErrorCode =
  | 'no-webgpu'
  | 'no-adapter'
  | 'software-adapter'
  | 'limit'
  | 'shader'
  | 'validation'
  | 'out-of-memory'
  | 'device-lost'
  | 'wrong-results';

export class GpuError extends Error {
  readonly code: GpuErrorCode;
  constructor(code: GpuErrorCode, message: string) {
    super(message);
    this.name = 'GpuError';
    this.code = code;
  }
}
