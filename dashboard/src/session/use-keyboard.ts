import { useEffect } from 'react'

import { useOpenSession } from './session-context'

/** The keys that change the moment, wherever the focus is, except where they have another meaning. */
export function useKeyboard(): void {
  const { player } = useOpenSession()
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
      const target = event.target instanceof Element ? event.target : undefined
      if (target?.closest('input, textarea, select, [contenteditable], dialog') != null) return
      const isPressable = target?.closest('button, a, [role="tab"], [role="radio"]') != null
      if (event.key === ' ' && !isPressable) player.togglePlay()
      else if (event.key === 'ArrowLeft') player.step(-1)
      else if (event.key === 'ArrowRight') player.step(1)
      else if (event.key === 'Home') player.toStart()
      else if (event.key === 'End') player.toEnd()
      else return
      event.preventDefault()
    }
    addEventListener('keydown', onKeyDown)
    return () => removeEventListener('keydown', onKeyDown)
  }, [player])
}
