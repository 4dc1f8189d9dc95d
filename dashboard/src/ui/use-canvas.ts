import { type RefObject, useEffect, useRef } from 'react'

const listeners = new Set<() => void>()
let stopWatching: (() => void) | undefined

function onTheme(listener: () => void): () => void {
  listeners.add(listener)
  stopWatching ??= watchTheme()
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    stopWatching?.()
    stopWatching = undefined
  }
}

function watchTheme(): () => void {
  const tell = () => {
    for (const listener of [...listeners]) listener()
  }
  const theme = new MutationObserver(tell)
  theme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
  const scheme = matchMedia('(prefers-color-scheme: dark)')
  scheme.addEventListener('change', tell)
  return () => {
    theme.disconnect()
    scheme.removeEventListener('change', tell)
  }
}

/** A token of `tokens.css`, as it is in this theme. */
export type Token = (name: string) => string

export interface Sheet {
  /** In pixels of style sheets. */
  readonly width: number
  readonly height: number
  readonly token: Token
}

/**
 * A canvas that is drawn once per frame at most: when it is asked for, and when its size, the pixels of the screen or
 * the theme have changed. It has as many points as the screen has.
 */
export function useCanvas(
  draw: (surface: CanvasRenderingContext2D, sheet: Sheet) => void,
): readonly [canvas: RefObject<HTMLCanvasElement | null>, ask: () => void] {
  const canvas = useRef<HTMLCanvasElement>(null)
  const newest = useRef(draw)
  newest.current = draw
  const ask = useRef(() => {})
  const tell = useRef(() => ask.current())
  useEffect(() => {
    const element = canvas.current
    const surface = element?.getContext('2d')
    if (element === null || surface == null) return
    let frame: number | undefined
    /** Where a box begins and ends between two points, only the browser knows how many it has. */
    let observed: readonly number[] = []
    /** As it was observed: asking for it while a frame is made would lay the page out an additional time. */
    let box: { readonly width: number; readonly height: number } | undefined
    let style: CSSStyleDeclaration | undefined
    const colours = new Map<string, string>()
    const token: Token = (name) => {
      const known = colours.get(name)
      if (known !== undefined) return known
      style ??= getComputedStyle(document.documentElement)
      const value = style.getPropertyValue(name).trim()
      colours.set(name, value)
      return value
    }
    const paint = () => {
      frame = undefined
      const { width, height } = box ?? element.getBoundingClientRect()
      if (width === 0 || height === 0) return
      const [across, down] = [width, height].map((size, at) => {
        const [points = 0, about] = [observed[at], size * devicePixelRatio]
        return Math.abs(points - about) <= 1 ? points : Math.round(about)
      }) as [number, number]
      if (element.width !== across) element.width = across
      if (element.height !== down) element.height = down
      surface.setTransform(across / width, 0, 0, down / height, 0, 0)
      surface.clearRect(0, 0, width, height)
      newest.current(surface, { width, height, token })
    }
    const plan = () => {
      frame ??= requestAnimationFrame(paint)
    }
    ask.current = plan
    const sizes = new ResizeObserver(([entry]) => {
      const [points] = entry?.devicePixelContentBoxSize ?? []
      observed = points === undefined ? [] : [points.inlineSize, points.blockSize]
      box = entry?.contentRect
      plan()
    })
    try {
      sizes.observe(element, { box: 'device-pixel-content-box' })
    } catch {
      // Safari does not tell how many points a box has; multiplying comes within one of them.
      sizes.observe(element)
    }
    const stop = onTheme(() => {
      colours.clear()
      plan()
    })
    plan()
    return () => {
      stop()
      sizes.disconnect()
      ask.current = () => {}
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }, [])
  useEffect(() => ask.current())
  return [canvas, tell.current]
}
