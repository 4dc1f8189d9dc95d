import { useEffect } from 'react'

import { toggleReading } from './reading'
import { useOpenSession } from './session-context'

/** The keys that change the moment, wherever the focus is, except where they have another meaning. */
export function useKeyboard(): void {
  const { player } = useOpenSession()
  useEffect(() => {
    // Where the pointer was last is not where the keys go.
    let clicked: Element | undefined
    const isMeant = (target: Element | undefined) => {
      const pressable = target?.closest('button, a, summary, [role="tab"], [role="radio"]')
      return pressable != null && pressable !== clicked
    }
    const onPointerDown = ({ target }: PointerEvent) => {
      clicked = (target instanceof Element ? target.closest('.transport button') : undefined) ?? undefined
    }
    const onFocus = ({ target }: FocusEvent) => {
      if (target !== clicked) clicked = undefined
    }
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
      const target = event.target instanceof Element ? event.target : undefined
      if (target?.closest('input, textarea, select, [contenteditable], dialog') != null) return
      if (event.key === ' ' && !isMeant(target)) player.togglePlay()
      else if (event.key === 'ArrowLeft') player.step(-1)
      else if (event.key === 'ArrowRight') player.step(1)
      else if (event.key === 'Home') player.toStart()
      else if (event.key === 'End') player.toEnd()
      else if (event.key === 'r') toggleReading()
      else return
      event.preventDefault()
    }
    addEventListener('keydown', onKeyDown)
    addEventListener('pointerdown', onPointerDown)
    addEventListener('focusin', onFocus)
    return () => {
      removeEventListener('keydown', onKeyDown)
      removeEventListener('pointerdown', onPointerDown)
      removeEventListener('focusin', onFocus)
    }
  }, [player])
}
