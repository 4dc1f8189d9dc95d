import type { ComponentProps, ReactNode } from 'react'

import { readJson } from '../format/json'
import { useText } from '../i18n/text'

interface FieldProps {
  label: string
  /** What is good to know about it. */
  hint?: ReactNode
  value: string
  onChange(value: string): void
}

type Rest<Tag extends 'input' | 'textarea'> = Omit<ComponentProps<Tag>, keyof FieldProps>

/** A line of text, or a number, with its label. */
export function TextField({ label, hint, value, onChange, ...rest }: FieldProps & Rest<'input'>) {
  return (
    <label>
      {label}
      <input {...rest} value={value} onChange={(event) => onChange(event.target.value)} />
      {hint !== undefined && <span className="faint hint">{hint}</span>}
    </label>
  )
}

/** A text of several lines. */
export function TextArea({ label, hint, value, onChange, ...rest }: FieldProps & Rest<'textarea'>) {
  return (
    <label>
      {label}
      <textarea dir="auto" {...rest} value={value} onChange={(event) => onChange(event.target.value)} />
      {hint !== undefined && <span className="faint hint">{hint}</span>}
    </label>
  )
}

/** A short JSON value, or nothing. */
export function JsonField({ value, ...rest }: FieldProps & Rest<'textarea'>) {
  const t = useText()
  const isFine = isJsonOrEmpty(value)
  return (
    <TextArea
      dir="ltr"
      className="mono"
      aria-invalid={!isFine}
      {...rest}
      value={value}
      {...(!isFine && { hint: <span className="error-line">{t.invalidJson}</span> })}
    />
  )
}

export function isJsonOrEmpty(text: string): boolean {
  return text.trim() === '' || readJson(text) !== undefined
}

/** How a stored value is shown in such a field. */
export function jsonText(value: unknown): string {
  return value === undefined || value === null ? '' : JSON.stringify(value, undefined, 2)
}

/** One member of a request with what such a field holds, or none. */
export function jsonMember<Name extends string>(name: Name, text: string): { [Key in Name]?: unknown } {
  return text.trim() === '' ? {} : ({ [name]: readJson(text) } as { [Key in Name]?: unknown })
}

/** One member of a request with a text without spaces around it, or none. */
export function textMember<Name extends string>(name: Name, text: string): { [Key in Name]?: string } {
  return text.trim() === '' ? {} : ({ [name]: text.trim() } as { [Key in Name]?: string })
}

interface ChecksProps<Value extends string> {
  label: string
  entries: readonly { readonly id: Value; readonly name: string }[]
  /** In the order of the entries. */
  chosen: readonly Value[]
  onChange(chosen: readonly Value[]): void
}

/** Some of several things. */
export function Checks<Value extends string>({ label, entries, chosen, onChange }: ChecksProps<Value>) {
  const toggle = (id: Value, isOn: boolean) =>
    onChange([
      // What is chosen and not offered stays.
      ...chosen.filter((each) => !entries.some((entry) => entry.id === each)),
      ...entries.map((entry) => entry.id).filter((each) => (each === id ? isOn : chosen.includes(each))),
    ])
  return (
    <fieldset className="checks">
      <legend>{label}</legend>
      {entries.map(({ id, name }) => (
        <label key={id}>
          <input type="checkbox" checked={chosen.includes(id)} onChange={(event) => toggle(id, event.target.checked)} />
          {name}
        </label>
      ))}
    </fieldset>
  )
}
