import { NumberField } from '../ui/number-field.tsx';
import type { RunForm } from './run-form.ts';

/** What every part of the form reads and changes. */
export interface PartProps {
  readonly form: RunForm;
  readonly setForm: (form: RunForm) => void;
  readonly problems: Readonly<Record<string, string>>;
}
export type Config = RunForm['config'];

/** A number bound to one setting; `path` finds its problem. NaN stands for what is no number. */
export function NumberSetting(props: {
  label: string;
  path: string;
  part: PartProps;
  value: number | undefined;
  set: (value: number) => Partial<Config>;
  description?: string;
}) {
  const { part, value, set, path, ...field } = props;
  const { form, setForm, problems } = part;
  return (
    <NumberField
      {...field}
      error={problems[path]}
      value={value}
      onChange={(next) => setForm({ ...form, config: { ...form.config, ...set(next ?? Number.NaN) } })}
    />
  );
}

/** The same for a setting that may be left empty. */
export function OptionalNumberSetting(props: {
  label: string;
  path: string;
  part: PartProps;
  value: number | undefined;
  set: (value: number | undefined) => Partial<Config>;
  /** What happens when it is empty. */
  placeholder: string;
}) {
  const { part, set, path, ...field } = props;
  const { form, setForm, problems } = part;
  return (
    <NumberField
      {...field}
      optional
      error={problems[path]}
      onChange={(next) => setForm({ ...form, config: { ...form.config, ...set(next) } })}
    />
  );
}
