import { Alert, Button, FileButton, Group, Loader, Stack, Text } from '@mantine/core';
import { type DragEvent, useState } from 'react';
import { chooseDemo, chooseFile } from '../commands.ts';
import { useJoinStore } from '../stores/join-store.ts';
import { Section } from '../ui/section.tsx';
import { DataPreview } from './data-preview.tsx';

const ACCEPT = '.json,.jsonl,.ndjson,.csv,.tsv';

function DropZone() {
  const busy = useJoinStore((state) => state.dataBusy);
  const demoShards = useJoinStore((state) => state.demoShards);
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
        <Text>Drop a JSON, JSONL or CSV file here</Text>
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
          {demoShards ? (
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
      {data ? <DataPreview data={data} /> : null}
    </Section>
  );
}
