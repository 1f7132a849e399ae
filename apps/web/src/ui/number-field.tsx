import { TextInput } from '@mantine/core';
import { useState } from 'react';
import { formatSetting, parseSetting } from './units.ts';

/** What a field's text means: nothing is `undefined` where that is allowed, and what is no number is NaN. */
function readNumber(text: string, optional: boolean): number | undefined {
  if (optional && text.trim() === '') return undefined;
  return parseSetting(text) ?? Number.NaN;
}

const written = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '' : formatSetting(value);

/**
 * A number as people write them, also 1e-3. A number input would refuse letters and swallow half of what is pasted; this one
 * keeps the text and hands on NaN, which the form's schema then refuses beside the field.
 */
export function NumberField(props: {
  label: string;
  description?: string | undefined;
  error?: string | undefined;
  value: number | undefined;
  optional?: boolean;
  placeholder?: string;
  onChange: (value: number | undefined) => void;
}) {
  const { label, description, error, value, optional = false, placeholder, onChange } = props;
  const [text, setText] = useState(() => written(value));
  // A preset or another algorithm changes the value from outside: the text follows.
  if (!Object.is(readNumber(text, optional), value) && !Number.isNaN(value) && (optional || value !== undefined)) {
    setText(written(value));
  }
  return (
    <TextInput
      label={label}
      inputMode="decimal"
      autoComplete="off"
      value={text}
      {...(description ? { description } : {})}
      {...(error ? { error } : {})}
      {...(placeholder ? { placeholder } : {})}
      onChange={(event) => {
        setText(event.currentTarget.value);
        onChange(readNumber(event.currentTarget.value, optional));
      }}
    />
  );
}
