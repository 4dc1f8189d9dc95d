import { type Kept, kept, useKept } from '../app/kept'
import { useWindowWidth } from '../ui/use-window-width'

/** Below this width of the window there is no list beside a run: as in `narrow.css`. */
export const listFrom = 1281

export type PanelName = 'side' | 'panels' | 'timeline'

interface Bounds {
  readonly least: number
  readonly most: number
  readonly first: number
}

/**
 * How large a part of the page can be, in pixels. Widths leave room for the graph whatever the window is, so that the
 * page is never wider than it.
 */
export function boundsOf(name: PanelName, windowWidth: number): Bounds {
  const share = (part: number) => Math.floor(windowWidth * part)
  switch (name) {
    case 'side':
      return { least: 180, most: Math.max(180, share(0.26)), first: 252 }
    case 'panels':
      if (windowWidth < listFrom) return { least: 300, most: Math.max(300, share(0.58)), first: 372 }
      return { least: 300, most: share(0.48), first: 384 }
    case 'timeline':
      return { least: 64, most: 560, first: 164 }
  }
}

/** `wanted` within the bounds of this window; what was wanted is kept for a larger one. */
export function sizeWithin({ least, most, first }: Bounds, wanted: number | undefined): number {
  return Math.round(Math.min(most, Math.max(least, wanted ?? first)))
}

function readSize(stored: unknown): number | undefined {
  return typeof stored === 'number' && Number.isFinite(stored) ? stored : undefined
}

const sizes: Record<PanelName, Kept<number | undefined>> = {
  side: kept('relive.side', readSize),
  panels: kept('relive.panels', readSize),
  timeline: kept('relive.timeline', readSize),
}

export interface PanelSize extends Bounds {
  readonly value: number
  /** `undefined`: as it is at first. */
  set(value: number | undefined): void
}

export function usePanelSize(name: PanelName): PanelSize {
  const wanted = useKept(sizes[name])
  const bounds = boundsOf(name, useWindowWidth())
  return {
    ...bounds,
    value: sizeWithin(bounds, wanted),
    set: (value) => sizes[name].set(value === undefined ? undefined : sizeWithin(bounds, value)),
  }
}
