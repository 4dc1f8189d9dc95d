import { useRef, useState } from 'react'

import { useText } from '../i18n/text'

/** A text that is shown once, to be copied. */
export function SecretField({ label, value }: { label: string; value: string }) {
  const t = useText()
  const field = useRef<HTMLInputElement>(null)
  const [isCopied, setCopied] = useState(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value)
      setCopied(true)
    } catch {
      // Without TLS browsers give pages no access to the clipboard: then the text is selected.
      field.current?.select()
    }
  }
  return (
    <div className="secret-field">
      <label>
        {label}
        <input
          ref={field}
          className="mono"
          readOnly
          value={value}
          spellCheck={false}
          onFocus={(event) => event.target.select()}
        />
      </label>
      <button type="button" onClick={() => void copy()}>
        {isCopied ? t.copied : t.copy}
      </button>
    </div>
  )
}
