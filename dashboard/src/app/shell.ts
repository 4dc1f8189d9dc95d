import { useEffect } from 'react'

import { FrameStore } from '../store/frame-store'

export type ShellDialog = 'palette' | 'shortcuts'

/** What is open over the page, if anything is. */
export const shell = new FrameStore<{ readonly open: ShellDialog | undefined }>({ open: undefined })

export function openShell(open: ShellDialog | undefined): void {
  shell.update({ open })
  shell.flush()
}

/** Where keys are a text that is being written. */
function isWriting(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null
}

function focusSearch(): boolean {
  const fields = [...document.querySelectorAll<HTMLInputElement>('input[type="search"]')]
  const field = fields.find((each) => each.getClientRects().length > 0)
  field?.focus()
  field?.select()
  return field !== undefined
}

/** The keys that every page has. */
export function useShellKeys(): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey) return
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        openShell(shell.latest.open === 'palette' ? undefined : 'palette')
        return
      }
      if (event.ctrlKey || event.metaKey || isWriting(event.target)) return
      if (event.target instanceof Element && event.target.closest('dialog') !== null) return
      if (event.key === '?') openShell('shortcuts')
      else if (event.key !== '/' || !focusSearch()) return
      event.preventDefault()
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [])
}
