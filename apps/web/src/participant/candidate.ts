import { adapterLayout, modelManifest } from '@cotune/kernels';
import type { JoinState } from '../stores/join-store.ts';
import { readBrowser } from './browser.ts';
import { disclosedItems } from './disclosure.ts';
import { adapterName, judgeGpu } from './gpu-verdict.ts';
import { fetchInvitation, hasDemoData, InvitationError } from './invitation.ts';
import { estimateMemory } from './memory.ts';
import { findGpu, findStorage } from './preflight.ts';

/** What is known of run, model and machine before joining. Throws InvitationError. */
export async function inspectInvitation(
  token: string,
): Promise<Pick<JoinState, 'run' | 'model' | 'rounds' | 'gpu' | 'storage' | 'memory' | 'disclosed' | 'demoShards'>> {
  const { run, model } = await fetchInvitation(token);
  const [finding, storage, demoShards, manifest] = await Promise.all([
    findGpu(),
    findStorage(),
    hasDemoData(),
    fetchManifest(`${model.url}model.json`),
  ]);
  const { config } = run;
  const memory = estimateMemory(manifest.architecture, manifest.dtype, config);
  const sent =
    finding.kind === 'adapter'
      ? { name: adapterName(finding.adapter), features: finding.adapter.features }
      : { name: '', features: [] };
  const { length } = adapterLayout(manifest.architecture, config.lora);
  const gpu = judgeGpu(
    finding,
    {
      memoryBytes: memory.totalBytes,
      largestBufferBytes: memory.largestBufferBytes,
      allowSoftware: model.allowSoftware,
    },
    readBrowser(navigator.userAgent),
  );
  return {
    run,
    model,
    rounds: run.rounds,
    gpu,
    storage,
    memory,
    disclosed: disclosedItems(config, length, sent),
    demoShards,
  };
}

async function fetchManifest(url: string) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok)
    throw new InvitationError('The description of the model cannot be read from the coordinator.', true);
  const manifest = modelManifest.safeParse(await response.json().catch(() => null));
  if (!manifest.success)
    throw new InvitationError('The coordinator describes its model in another way. Reload the page.', true);
  return manifest.data;
}
