import type { FormField } from '@cotune/fl-core';
import { NativeSelect, NumberInput, SimpleGrid, Switch, TextInput } from '@mantine/core';
import type { FieldValues } from './run-form.ts';

/** "secondMoment" → "Second moment" */
export function fieldTitle(name: string): string {
  const words = name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function Field(props: {
  field: FormField;
  value: string | number | boolean;
  onChange: (value: string | number | boolean) => void;
}) {
  const { field, value, onChange } = props;
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
          value={String(value)}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    case 'number':
    case 'integer':
      return (
        <NumberInput
          label={label}
          description={description}
          value={Number(value)}
          allowDecimal={field.type === 'number'}
          {...(field.min === null ? {} : { min: field.min })}
          {...(field.max === null ? {} : { max: field.max })}
          onChange={onChange}
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
  onChange: (values: FieldValues) => void;
}) {
  const { fields, values, onChange } = props;
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }}>
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={values[field.name] ?? field.default ?? ''}
          onChange={(value) => onChange({ ...values, [field.name]: value })}
        />
      ))}
    </SimpleGrid>
  );
}
