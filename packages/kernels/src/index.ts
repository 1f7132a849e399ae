export { type PeftAdapter, peftFiles, readPeft } from './export/peft.ts';
export { formatPeftConfig, parsePeftConfig } from './export/peft-config.ts';
export { type BufferView, createArena } from './gpu/buffers.ts';
export {
  type AdapterKind,
  type AdapterSummary,
  describeAdapter,
  type Gpu,
  type OpenGpuOptions,
  openGpu,
} from './gpu/device.ts';
export { GpuError, type GpuErrorCode } from './gpu/error.ts';
export { ConfigError, type LlamaConfig, parseLlamaConfig, type RopeScaling } from './llama/config.ts';
export { type Generated, type GenerateOptions, generate } from './llama/generate.ts';
export type { ModelSource, TensorData } from './llama/source.ts';
export { loadModel, type Model } from './llama/weights.ts';
export { initAdapter } from './lora/init.ts';
export {
  type AdapterLayout,
  type AdapterTensor,
  adapterLayout,
  LORA_TARGETS,
  type LoraConfig,
  type LoraTarget,
  targetShape,
} from './lora/layout.ts';
export * from './quantize/error.ts';
export { httpSource } from './quantize/http-source.ts';
export { type ModelManifest, modelManifest } from './quantize/manifest.ts';
export { memorySource } from './quantize/memory-files.ts';
export { openModelDirectory, verifyModelDirectory } from './quantize/model-directory.ts';
export { openModel } from './quantize/open-model.ts';
export { quantizeModel } from './quantize/quantize-model.ts';
export { quantizeRows } from './quantize/quantize-rows.ts';
export type { FileSink, FileSource } from './quantize/source.ts';
export type { TokenizedExample } from './train/batch.ts';
export type { StepOptions } from './train/optimizer.ts';
export { type StepRecord, type TrainOptions, train } from './train/train.ts';
export { createTrainer, type StepResult, type Trainer, type TrainerOptions } from './train/trainer.ts';
