import { useEffect, useRef } from 'react'

import { FrameStore } from '../store/frame-store'

/** Something that the palette offers while the part of the page is there that offers it. */
export interface PageCommand {
  readonly id: string
  readonly label: string
  run(): void
}

/** By the part of the page that offers them. */
export const commands = new FrameStore<{ readonly all: readonly PageCommand[] }>({ all: [] })

const offered = new Map<symbol, readonly PageCommand[]>()

/** Offers these in the palette. Nothing of the caller is rendered for it. */
export function useCommands(list: readonly PageCommand[]): void {
  const newest = useRef(list)
  newest.current = list
  const names = list.map(({ id, label }) => `${id} ${label}`).join('\n')
  useEffect(() => {
    const owner = Symbol(names)
    offered.set(
      owner,
      newest.current.map(({ id, label }) => ({
        id,
        label,
        // What it does then is what it would do now.
        run: () => newest.current.find((command) => command.id === id)?.run(),
      })),
    )
    commands.update({ all: [...offered.values()].flat() })
    return () => {
      offered.delete(owner)
      commands.update({ all: [...offered.values()].flat() })
    }
  }, [names])
}
