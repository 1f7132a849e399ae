import type { Gpu } from '../../../../src/gpu/device.ts';
import { createTrainer, loadModel } from '../../../../src/index.ts';
import { arraySource } from '../../../../test/random-model.ts';
import { finished } from '../matmul/contestant.ts';
import type { Stepper } from './stepper.ts';
import { type StepTask, tokenizedExamples, weightNamed } from './task.ts';

export async function openOurStep(gpu: Gpu, task: StepTask): Promise<Stepper> {
  const source = arraySource(task.config, 'f32', (name) => weightNamed(task, name).data);
  const model = await loadModel(gpu, source);
  const trainer = await createTrainer(model, task.lora);
  trainer.setAdapter(task.adapter);
  const examples = tokenizedExamples(task);
  return {
    async step() {
      const { lossNats, tokens } = await trainer.step(examples, { learningRate: task.learningRate });
      if (tokens !== task.batch * task.seq) throw new Error(`${tokens} tokens trained, not ${task.batch * task.seq}`);
      await finished(gpu.device);
      return lossNats;
    },
    destroy() {
      trainer.destroy();
      model.destroy();
    },
  };
}
