import { NumberInput } from '@mantine/core';
import type { RunForm } from './run-form.ts';

/** What every part of the form reads and changes. */
export interface PartProps {
  readonly form: RunForm;
  readonly setForm: (form: RunForm) => void;
  readonly problems: Readonly<Record<string, string>>;
}
export type Config = RunForm['config'];

/** A number input bound to one setting; `path` finds its problem. */
export function NumberSetting(props: {
  label: string;
  path: string;
  part: PartProps;
  value: number | undefined;
  set: (value: number) => Partial<Config>;
  description?: string;
  min?: number;
  max?: number;
  whole?: boolean;
}) {
  const { part, value, set, path, whole = true, label, description, min = 0, max } = props;
  const error = part.problems[path];
  return (
    <NumberInput
      label={label}
      {...(description ? { description } : {})}
      {...(error ? { error } : {})}
      {...(max === undefined ? {} : { max })}
      min={min}
      value={value ?? ''}
      allowDecimal={!whole}
      onChange={(next) => part.setForm({ ...part.form, config: { ...part.form.config, ...set(Number(next)) } })}
    />
  );
}
