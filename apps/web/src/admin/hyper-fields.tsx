import type { FormField } from '@cotune/fl-core';
import { NativeSelect, SimpleGrid, Switch, TextInput } from '@mantine/core';
import { NumberField } from '../ui/number-field.tsx';
import type { FieldValues } from './run-form.ts';

/** "secondMoment" → "Second moment", "beta1" → "Beta 1" */
export function fieldTitle(name: string): string {
  const words = name.replace(/[A-Z]|(?<=[a-z])\d/g, (sign) => ` ${sign.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function Field(props: {
  field: FormField;
  value: string | number | boolean;
  error: string | undefined;
  onChange: (value: string | number | boolean) => void;
}) {
  const { field, value, error, onChange } = props;
  const label = fieldTitle(field.name);
  const description = field.description || undefined;
  switch (field.type) {
    case 'boolean':
      return (
        <Switch
          label={label}
          description={description}
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      );
    case 'choice':
      return (
        <NativeSelect
          label={label}
          description={description}
          error={error}
          data={[...field.choices]}
          value={String(value)}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    case 'text':
      return (
        <TextInput
          label={label}
          description={description}
          error={error}
          value={String(value)}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    case 'number':
    case 'integer':
      return (
        <NumberField
          label={label}
          description={description}
          error={error}
          value={typeof value === 'number' ? value : Number.NaN}
          onChange={(next) => onChange(next ?? Number.NaN)}
        />
      );
    default:
      return field.type satisfies never;
  }
}

/** The inputs of an algorithm's hyperparameters, as its schema describes them. */
export function HyperFields(props: {
  fields: readonly FormField[];
  values: FieldValues;
  /** By field name. */
  problems: Readonly<Record<string, string>>;
  onChange: (values: FieldValues) => void;
}) {
  const { fields, values, problems, onChange } = props;
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }}>
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={values[field.name] ?? field.default ?? ''}
          error={problems[field.name]}
          onChange={(value) => onChange({ ...values, [field.name]: value })}
        />
      ))}
    </SimpleGrid>
  );
}
