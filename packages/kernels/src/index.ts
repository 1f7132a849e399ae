// The engine's public face. It runs wherever WebGPU does; what only Node has is in '@cotune/kernels/node'.
export { PEFT_WEIGHTS, type PeftAdapter, peftFiles, readPeft } from './export/peft.ts';
export { PEFT_CONFIG } from './export/peft-config.ts';
export type { TuneOptions, TuningStore } from './gpu/autotune.ts';
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
export { ModelError, type ModelErrorCode } from './llama/error.ts';
export { type Generated, type GenerateOptions, generate } from './llama/generate.ts';
export { type MemoryPlan, type PlanRequest, planMemory } from './llama/plan.ts';
export { type Corrections, leastRows, type Task } from './llama/plan-adapter.ts';
export { type ChoiceRequest, choosePlan, PlanError, type PlanErrorCode } from './llama/plan-choice.ts';
export { type FlopsRequest, type TokenFlops, trainingFlops } from './llama/plan-flops.ts';
export { MODEL_PRESETS } from './llama/plan-presets.ts';
export type { ModelSource, TensorData, TensorSlice } from './llama/source.ts';
export { type LoadModelOptions, type LoadProgress, loadModel, type Model } from './llama/weights.ts';
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
export { FLASH_ROW_TOKENS } from './ops/flash_attention.ts';
export { type MatmulShape, type TunedMatmul, type TuneMatmulsOptions, tuneMatmuls } from './ops/matmul_tune.ts';
export { PRECISIONS, type Precision } from './ops/precision.ts';
export { type DownloadOptions, downloadFile, type PartialFile, type RemoteFile } from './quantize/download.ts';
export { ModelFileError, type ModelFileErrorCode } from './quantize/error.ts';
export { httpSource } from './quantize/http-source.ts';
export { type HubId, hubSource, parseHubId, type RemoteOptions, remoteSource } from './quantize/hub.ts';
export { openHuggingFaceModel } from './quantize/hugging-face.ts';
export { MANIFEST, type ModelManifest, modelManifest, parseManifest, readManifest } from './quantize/manifest.ts';
export { memorySink, memorySource } from './quantize/memory-files.ts';
export { openModelDirectory, verifyModelDirectory } from './quantize/model-directory.ts';
export { openModel } from './quantize/open-model.ts';
export { type QuantizeOptions, type QuantizeProgress, quantizeModel } from './quantize/quantize-model.ts';
export { type QuantizedRows, quantizeRows } from './quantize/quantize-rows.ts';
export { openSafetensors, type SafetensorsReader } from './quantize/safetensors.ts';
export { createSha256, type Sha256, sha256Hex } from './quantize/sha256.ts';
export type { FileSink, FileSource } from './quantize/source.ts';
export { readChatTemplate } from './quantize/tokenizer-file.ts';
export { type Transfer, type TransferMeter, transferMeter } from './quantize/transfer.ts';
export type { TokenizedExample } from './train/batch.ts';
export type { CheckpointStore } from './train/checkpoint.ts';
export type {
  PairLogProbs,
  PairMetrics,
  PairOptions,
  PairProgress,
  PairStepResult,
  PairTraining,
  PreferencePair,
} from './train/dpo.ts';
export { withReferenceAdapter } from './train/dpo-reference.ts';
export { type PairStepRecord, type TrainPairsOptions, trainPairs } from './train/dpo-train.ts';
export type { EvaluateOptions, Evaluation, Probe, ScoredExample, SequenceScore } from './train/evaluate.ts';
export {
  createTrainerHost,
  hostOf,
  type OpenTrainer,
  type TrainerHost,
  type TrainerHostOptions,
} from './train/host.ts';
export type { OptimizerState, StepOptions } from './train/optimizer.ts';
export { checkPrecision, type PrecisionCheck, type PrecisionCheckOptions } from './train/precision-gate.ts';
export { prepareGpu } from './train/prepare-gpu.ts';
export {
  type Course,
  type ResumableOptions,
  type ResumablePairsOptions,
  type Resumption,
  trainPairsResumably,
  trainResumably,
} from './train/resumable.ts';
export { type SelfTestResult, selfTest } from './train/self-test.ts';
export { type StepRecord, type TrainOptions, type TrainResult, train } from './train/train.ts';
export {
  createTrainer,
  type StepResult,
  type Trainer,
  type TrainerOptions,
  type TrainerSnapshot,
} from './train/trainer.ts';
