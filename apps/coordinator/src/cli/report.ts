import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { Command, Option } from 'commander';
import { curvesCsv, tableCsv } from '../report/csv.ts';
import { reportHtml } from '../report/html.ts';
import { reportJson } from '../report/json.ts';
import { readExperiment } from '../report/read-experiment.ts';
import { type Section, sectionOf } from '../report/section.ts';
import { sectionMarkdown, sectionText } from '../report/text-table.ts';
import { note, UserError } from './output.ts';

interface ReportOptions {
  out?: string;
  csv?: string;
  json?: boolean;
  markdown?: boolean;
}

/** `cotune report`: tables and curves of simulations. */
export function reportCommand(): Command {
  return new Command('report')
    .description('tables and curves of one or several simulations, done or not')
    .argument('<dir...>', 'directories that cotune simulate wrote with --out')
    .option('--out <file>', 'write a page with tables and curves (HTML, needs no network)')
    .option('--csv <file>', 'write the tables, and beside it as NAME-curves.csv the curves')
    .option('--json', 'print one JSON object')
    .addOption(new Option('--markdown', 'print the tables as Markdown').conflicts('json'))
    .action(runReport);
}

async function runReport(directories: readonly string[], options: ReportOptions): Promise<void> {
  const sections: Section[] = [];
  for (const directory of directories) sections.push(sectionOf(await readExperiment(directory)));
  if (options.out !== undefined) await write(options.out, reportHtml(sections));
  if (options.csv !== undefined) {
    const extension = extname(options.csv);
    const stem = extension === '' ? options.csv : options.csv.slice(0, -extension.length);
    await write(options.csv, tableCsv(sections));
    await write(`${stem}-curves${extension || '.csv'}`, curvesCsv(sections));
  }
  const text = options.json
    ? JSON.stringify(reportJson(sections))
    : sections.map(options.markdown ? sectionMarkdown : sectionText).join('\n\n');
  process.stdout.write(`${text}\n`);
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`);
  }
  note(`wrote ${path}`);
}
