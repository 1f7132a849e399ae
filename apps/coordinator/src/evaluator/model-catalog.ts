import { createHash } from 'node:crypto';
import { DataError, FlError, type ModelRef, type RunConfig } from '@cotune/fl-core';
import { type ModelManifest, type ModelSource, openModelDirectory, readManifest } from '@cotune/kernels';
import { directorySource } from '@cotune/kernels/node';
import { openModelText } from '../participant/model-text.ts';

/** A model directory that runs may use. */
export interface OfferedModel {
  readonly id: string;
  readonly title: string;
  readonly dir: string;
  /** Whether software WebGPU may train it; by default models of up to five million parameters may. */
  readonly allowSoftware?: boolean;
}

export interface ModelCatalog {
  list(): Promise<ModelRef[]>;
  /** Throws FlError 'not-found'. */
  ref(modelId: string): Promise<ModelRef>;
  open(modelId: string): Promise<ModelSource>;
  /** Throws FlError 'not-found', or 'invalid' where the model lacks the chat template that is asked for. */
  requireTemplate(modelId: string, template: RunConfig['template']): Promise<void>;
  /**
   * Directory and manifest, for serving exactly the files that the manifest names. `name` is an id, or `id@version` as in
   * a ModelRef's url: the version is a hash of the manifest, so what such a url names never changes.
   */
  files(name: string): Promise<{ dir: string; manifest: ModelManifest; versioned: boolean } | undefined>;
}

const versionOf = (manifest: ModelManifest): string =>
  createHash('sha256').update(JSON.stringify(manifest)).digest('hex').slice(0, 16);

const SOFTWARE_PARAMETERS = 5_000_000;

export function createModelCatalog(offered: readonly OfferedModel[]): ModelCatalog {
  const byId = new Map(offered.map((model) => [model.id, model]));
  const manifests = new Map<string, Promise<ModelManifest>>();
  const manifestOf = (model: OfferedModel): Promise<ModelManifest> => {
    let manifest = manifests.get(model.id);
    if (!manifest) {
      manifest = readManifest(directorySource(model.dir));
      manifest.catch(() => manifests.delete(model.id)); // it may be there the next time
      manifests.set(model.id, manifest);
    }
    return manifest;
  };
  const known = (modelId: string): OfferedModel => {
    const model = byId.get(modelId);
    if (!model) {
      const ids = [...byId.keys()].join(', ') || 'none';
      throw new FlError('not-found', `unknown model "${modelId}": this coordinator offers ${ids}`);
    }
    return model;
  };
  const ref = async (modelId: string): Promise<ModelRef> => {
    const model = known(modelId);
    const manifest = await manifestOf(model);
    const { tensors, shards } = manifest;
    const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
    return {
      id: model.id,
      title: model.title,
      url: `/api/models/${encodeURIComponent(model.id)}@${versionOf(manifest)}/`,
      bytes: shards.reduce((sum, shard) => sum + shard.bytes, 0),
      parameters,
      allowSoftware: model.allowSoftware ?? parameters <= SOFTWARE_PARAMETERS,
    };
  };
  const open = async (modelId: string) => openModelDirectory(directorySource(known(modelId).dir));
  return {
    ref,
    open,
    async requireTemplate(modelId, template) {
      if (template !== 'chat') return;
      try {
        await (await openModelText(await open(modelId))).template(template);
      } catch (error) {
        throw error instanceof DataError ? new FlError('invalid', `template: ${error.message}`) : error;
      }
    },
    list: () => Promise.all([...byId.keys()].map(ref)),
    async files(name) {
      const at = name.lastIndexOf('@');
      const model = byId.get(name) ?? byId.get(name.slice(0, Math.max(0, at)));
      if (!model) return undefined;
      const manifest = await manifestOf(model);
      const versioned = !byId.has(name);
      if (versioned && name.slice(at + 1) !== versionOf(manifest)) return undefined;
      return { dir: model.dir, manifest, versioned };
    },
  };
}
