import type { ModelSource } from '../llama/source.ts';
import { ModelFileError } from './error.ts';
import { openHuggingFaceModel } from './hugging-face.ts';
import { MANIFEST } from './manifest.ts';
import { openModelDirectory } from './model-directory.ts';
import type { FileSource } from './source.ts';

/**
 * Opens a model directory (model.json) or a Hugging Face directory (config.json), whichever is there. `dtype`, int8 by
 * default for Hugging Face, is the storage wanted; a model directory of another dtype is refused ('unsupported-dtype').
 */
export async function openModel(
  source: FileSource,
  options: { dtype?: 'int8' | 'f32' | undefined } = {},
): Promise<ModelSource> {
  if ((await source.size(MANIFEST)) !== undefined) {
    const model = await openModelDirectory(source);
    if (options.dtype !== undefined && options.dtype !== model.dtype) {
      throw new ModelFileError(
        'unsupported-dtype',
        MANIFEST,
        `got a model stored as ${model.dtype}, expected ${options.dtype}; quantise the original again with that dtype`,
      );
    }
    return model;
  }
  if ((await source.size('config.json')) === undefined) {
    throw new ModelFileError(
      'missing-file',
      MANIFEST,
      `neither it nor config.json is in ${source.label}; expected a model directory`,
    );
  }
  return openHuggingFaceModel(source, { dtype: options.dtype ?? 'int8' });
}
