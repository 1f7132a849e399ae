import { createParticipant, FlError, type Participant, type RunConfig, rowCount, storageSlot } from '@cotune/fl-core';
import { httpSource } from '@cotune/kernels';
import { expose, transfer } from 'comlink';
import { adapterName } from '../participant/gpu-verdict.ts';
import { downloadBlob } from './blob.ts';
import { type ColumnChoice, fileColumns } from './columns.ts';
import { columnsOf, forgetSeat, keepColumns, keepData, keptData, type StoredFile } from './data-store.ts';
import { type LocalData, readDataset } from './dataset.ts';
import { type Engine, openEngine } from './engine.ts';
import { taskTrainer } from './local-trainer.ts';
import type { DataReport, DataSettings, TrainerApi } from './messages.ts';
import { type ModelText, readModelText } from './model-text.ts';
import { openParticipantStorage } from './participant-storage.ts';

let modelText: { readonly modelUrl: string; readonly value: Promise<ModelText> } | null = null;
let data: LocalData | null = null;
/** Opens the file that was read last; its bytes are not held while the tab trains. */
let lastFile: (() => Promise<StoredFile>) | null = null;
let config: RunConfig | null = null;
let engine: Engine | null = null;
let participant: Participant | null = null;
let writing = new AbortController();

const need = <T>(value: T | null, what: string): T => {
  if (value === null) throw new FlError('wrong-state', `${what} is not ready yet`);
  return value;
};

/** Keeps how the last model reads text; a failed download is tried again the next time. */
async function textOf(modelUrl: string): Promise<ModelText> {
  if (modelText?.modelUrl !== modelUrl) modelText = { modelUrl, value: readModelText(httpSource(modelUrl)) };
  const held = modelText;
  try {
    return await held.value;
  } catch (error) {
    if (modelText === held) modelText = null;
    throw error;
  }
}

/** Reads a file as the training data of this visit, and keeps a copy where it is of use and not kept yet. */
async function take(
  seat: string,
  stored: StoredFile,
  columns: ColumnChoice | null,
  settings: DataSettings,
): Promise<DataReport> {
  const modelUrl = new URL(settings.modelUrl, location.origin).href;
  data = await readDataset(stored, columns, await textOf(modelUrl), settings);
  if (data.report.examples > 0) await keepData(seat, stored);
  return data.report;
}

const api: TrainerApi = {
  async readData(seat, file, settings) {
    const opened = file ? { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) } : await keptData(seat);
    if (!opened) return null;
    const { name } = opened;
    lastFile = file
      ? async () => ({ name, bytes: new Uint8Array(await file.arrayBuffer()) })
      : async () => need(await keptData(seat), 'the file');
    return take(seat, opened, await columnsOf(seat, opened), settings);
  },
  async columns() {
    const { name, bytes } = await need(lastFile, 'the file')();
    return fileColumns(bytes, name);
  },
  async chooseColumns(seat, columns, settings) {
    const opened = await need(lastFile, 'the file')();
    const report = await take(seat, opened, columns, settings);
    if (report.examples > 0) await keepColumns(seat, opened, columns);
    return report;
  },

  async prepare(job, onProgress) {
    const model = { ...job.model, url: new URL(job.model.url, location.origin).href };
    engine ??= await openEngine({ ...job, model }, onProgress);
    config = job.config;
    const { gpu, layout, storage } = engine;
    return {
      adapterLength: layout.length,
      adapterName: adapterName(gpu.adapter),
      features: gpu.adapter.features,
      storage,
    };
  },

  async start(seat, socket, events) {
    const { gpu, trainer, useLessMemory } = need(engine, 'the model');
    const onOutOfMemory = (message: string) => void useLessMemory().finally(() => events.onDeviceLost(message));
    const { data: rows } = need(data, 'the data');
    void gpu.lost.then(({ message }) => events.onDeviceLost(message));
    const storage = await openParticipantStorage(seat);
    const checkpoints = storageSlot(storage, 'checkpoint');
    participant = createParticipant({
      trainer: taskTrainer(trainer, rows, need(config, 'the run'), { checkpoints, onOutOfMemory }),
      transport: {
        request: (event, payload) => socket.request(event, payload),
        openUpload: (payload) => socket.openUpload(payload),
        // A chunk is a view of the whole update: send a copy of its own, not a clone of all of it.
        sendChunk: (payload, chunk) => {
          const own = chunk.slice();
          return socket.sendChunk(payload, transfer(own, [own.buffer]));
        },
        commitUpload: (payload) => socket.commitUpload(payload),
        progress: (payload) => void socket.progress(payload),
        download: downloadBlob,
      },
      storage,
      examples: rowCount(rows),
      now: () => Date.now(),
      onActivity(activity) {
        if (activity.kind === 'uploaded') void checkpoints.delete().catch(() => undefined);
        void events.onActivity(activity);
      },
      onStep: (record) => void events.onStep(record),
    });
  },

  welcome: (welcome) => participant?.onWelcome(welcome),
  offer: (offer) => participant?.onOffer(offer),
  runState: (run) => participant?.onRunState(run),
  removed: (reason) => participant?.onRemoved(reason),
  disconnected: () => participant?.onDisconnect(),
  stop: async (how) => participant?.stop(how),

  loadAdapter: (blob) => need(engine, 'the model').loadAdapter(blob),
  samplePrompt: () => data?.report.preview[0]?.prompt ?? null,
  generate(job, onText) {
    writing.abort();
    writing = new AbortController();
    return need(engine, 'the model').generate(job, onText, writing.signal);
  },
  cancelGeneration: () => writing.abort(),
  async peft() {
    const files = need(engine, 'the model').peft();
    return transfer(
      files,
      files.map(({ bytes }) => bytes.buffer),
    );
  },
  async forget(seat) {
    data = lastFile = null;
    await forgetSeat(seat);
  },
};

expose(api);
