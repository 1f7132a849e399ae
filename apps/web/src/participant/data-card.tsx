import { Alert, Button, FileButton, Group, Loader, Stack, Text } from '@mantine/core';
import { type DragEvent, useState } from 'react';
import { chooseDemo, chooseFile, offerColumns } from '../commands.ts';
import { useJoinStore } from '../stores/join-store.ts';
import { Section } from '../ui/section.tsx';
import { ColumnPicker } from './column-picker.tsx';
import { DataPreview } from './data-preview.tsx';

const ACCEPT = '.json,.jsonl,.ndjson,.csv,.tsv,.txt,.parquet,.gz';

/** What a row of the file has to hold, by task. */
const HOLDS = {
  sft: 'a prompt and its answer in each row',
  dpo: 'a question with a chosen and a rejected answer in each row',
} as const;

function DropZone() {
  const busy = useJoinStore((state) => state.dataBusy);
  const demoShards = useJoinStore((state) => state.demoShards);
  const task = useJoinStore((state) => state.run?.config.task ?? 'sft');
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file) chooseFile(file);
  };
  return (
    // The picker button does the same by keyboard; dropping is a shortcut.
    // biome-ignore lint/a11y/noStaticElementInteractions: see above
    <div
      className="drop-zone"
      data-over={over}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <Stack gap="sm" align="center">
        <div>
          <Text>Drop a JSON, JSONL, CSV or Parquet file here, gzipped or not</Text>
          <Text size="sm" c="dimmed">
            with {HOLDS[task]}
          </Text>
        </div>
        <Group justify="center">
          <FileButton
            accept={ACCEPT}
            onChange={(file) => file && chooseFile(file)}
            inputProps={{ 'aria-label': 'Data file' }}
          >
            {(props) => (
              <Button {...props} loading={busy}>
                Choose a file
              </Button>
            )}
          </FileButton>
          {demoShards && task === 'sft' ? (
            <Button variant="default" disabled={busy} onClick={() => chooseDemo(1 + Math.floor(Math.random() * 3))}>
              Use demo data
            </Button>
          ) : null}
        </Group>
        <Text size="sm" c="dimmed" maw={520}>
          The file stays on this computer: it is read inside this tab, and a copy is kept only in this browser’s private
          storage, so that a reload can go on.
        </Text>
      </Stack>
    </div>
  );
}

/** Choosing the owner's data, and what was understood of it. */
export function DataCard() {
  const data = useJoinStore((state) => state.data);
  const busy = useJoinStore((state) => state.dataBusy);
  const problem = useJoinStore((state) => state.dataProblem);
  const columns = useJoinStore((state) => state.columns);
  return (
    <Section
      title="Your data"
      step={2}
      testId="data"
      aside={busy ? <Loader size="sm" aria-label="Reading the file" /> : null}
    >
      <DropZone />
      {problem ? (
        <Alert color="red" variant="light" role="alert" title="This file cannot be used" data-testid="data-problem">
          {problem}
        </Alert>
      ) : null}
      {columns ? <ColumnPicker key={columns.map(({ name }) => name).join()} columns={columns} /> : null}
      {data ? <DataPreview data={data} /> : null}
      {data && !columns ? (
        <Group>
          <Button variant="subtle" size="compact-sm" disabled={busy} onClick={offerColumns}>
            Choose the columns
          </Button>
        </Group>
      ) : null}
    </Section>
  );
}
