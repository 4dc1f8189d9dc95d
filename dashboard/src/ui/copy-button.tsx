import { useEffect, useState } from 'react'

import { useText } from '../i18n/text'

const shownMs = 1600

interface CopyButtonProps {
  /** Made when it is needed, where it is long. */
  text: string | (() => string)
  label?: string
  select?: () => void
}

/** Copies a text. Without TLS browsers give pages no clipboard: then it selects what it stands beside. */
export function CopyButton({ text, label, select }: CopyButtonProps) {
  const t = useText()
  const [isCopied, setCopied] = useState(false)
  useEffect(() => {
    if (!isCopied) return
    const timer = setTimeout(() => setCopied(false), shownMs)
    return () => clearTimeout(timer)
  }, [isCopied])
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : text())
      setCopied(true)
    } catch {
      select?.()
    }
  }
  return (
    <button type="button" className="copy quiet" onClick={() => void copy()}>
      {isCopied ? t.copied : (label ?? t.copy)}
    </button>
  )
}
