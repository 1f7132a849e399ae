import { join } from 'node:path';
import { openModelDirectory } from '@cotune/kernels';
import { directorySource } from '@cotune/kernels/node';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadTrainingData } from '../src/cli/data.ts';
import { createHeldOutCatalog } from '../src/evaluator/held-out.ts';
import { openModelText } from '../src/participant/model-text.ts';
import { heldOutFile, modelDir, newDataDir, openRun, start, useHarness } from './harness.ts';
import { TINY_CHAT_TEMPLATE, writeTinyModel } from './tiny-model.ts';

useHarness();

let chatty = '';
let broken = '';
beforeAll(async () => {
  const root = await newDataDir();
  [chatty, broken] = [join(root, 'chatty'), join(root, 'broken')];
  await writeTinyModel(chatty, 'chatty', TINY_CHAT_TEMPLATE);
  await writeTinyModel(broken, 'broken', '{% for m in messages %}');
});

const textOf = async (dir: string) => openModelText(await openModelDirectory(directorySource(dir)));

describe('a run with the chat template of its model', () => {
  it('is created where the model has one that can be read, and refused in a sentence elsewhere', async () => {
    const coordinator = await start({
      models: [
        { id: 'tiny', title: 'Tiny', dir: modelDir() },
        { id: 'chatty', title: 'Chatty', dir: chatty },
        { id: 'broken', title: 'Broken', dir: broken },
      ],
    });
    const create = (modelId: string) => openRun(coordinator, { modelId, template: 'chat', evaluationId: 'colours' });
    const { runId } = await create('chatty');
    const { run } = await coordinator.adminCall('run:get', { runId });
    expect(run.config.template).toBe('chat');
    await expect(create('tiny')).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/^template: the model has no chat template of its own; choose another template/),
    });
    await expect(create('broken')).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/^template: the model's chat template cannot be read/),
    });
  });

  it('trains and is evaluated on what that template writes', async () => {
    const source = await openModelDirectory(directorySource(chatty));
    const text = await openModelText(source);
    const config = { task: 'sft', dpo: { beta: 0.1 }, template: 'chat', maxSeqLength: 32 } as const;
    const data = await loadTrainingData({ sources: [heldOutFile()] }, config, text);
    const [first] = data.task === 'sft' ? data.examples : [];
    const written = text.tokenizer.encode('Qred? Ar</s>', { bos: true, special: true });
    expect([...(first?.inputIds ?? [])]).toEqual(written);
    const learnt = [...(first?.labels ?? [])].filter((label) => label !== -100);
    expect(learnt).toEqual(written.slice(-2)); // the answer and its end

    const catalog = createHeldOutCatalog([{ id: 'colours', title: 'Colours', file: heldOutFile() }]);
    const run = { ...(await runConfigOf('chatty')), template: 'chat' as const };
    const held = await catalog.set('colours', source, run);
    expect(held.task === 'sft' && held.examples[0]).toEqual(first);
  });

  it('is an error on the command line where the model has none', async () => {
    const config = { task: 'sft', dpo: { beta: 0.1 }, template: 'chat', maxSeqLength: 32 } as const;
    const loading = loadTrainingData({ sources: [heldOutFile()] }, config, await textOf(modelDir()));
    await expect(loading).rejects.toMatchObject({ code: 'bad-chat-template' });
  });
});

async function runConfigOf(modelId: string) {
  const coordinator = await start({ models: [{ id: modelId, title: modelId, dir: chatty }] });
  const { runId } = await openRun(coordinator, { modelId });
  return (await coordinator.adminCall('run:get', { runId })).run.config;
}
