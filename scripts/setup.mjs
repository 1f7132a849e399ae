// npm run setup: packages, build, software WebGPU where there is no GPU.
import { say, setup } from './environment.mjs';

await setup();
say('ready: npm start -- --demo shows a federated run, npm run -s cotune -- --help lists the commands');
