import { useStoreApi } from '@xyflow/react'
import { useEffect, useMemo, useRef } from 'react'
import { onPlace } from '../app/place'
import { nodeName } from '../journal/describe'
import { selectedNode } from '../session/selection'
import { useOpenSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { drawnEdges } from './edges'
import type { LaidOut } from './laid-out'
import { drawOverview, readPalette } from './overview-drawing'

/** The margin that is drawn around the stage, so that short panning needs no new drawing. */
const marginShare = 0.35
/** Changes of the run are drawn at most this often; each drawing covers everything in view. */
const redrawMs = 250
/** After zooming, the picture is scaled until nothing has moved for this long. */
const settleMs = 120

/**
 * A large graph from afar, on one canvas: thousands of nodes would be thousands of elements to
 * move. While panning, the canvas is moved as it is. Near by it has only the edges; it is
 * below React Flow's own elements.
 */
export function OverviewLayer({ laidOut, withCards }: { laidOut: LaidOut; withCards: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const flow = useStoreApi()
  const { store } = useOpenSession()
  const edges = useMemo(() => drawnEdges(laidOut).map((edge) => ({ ...edge, line: new Path2D(edge.path) })), [laidOut])
  useEffect(() => {
    const element = canvas.current
    const context = element?.getContext('2d')
    if (element === null || context == null) return
    let palette = readPalette()
    let drawn = { x: 0, y: 0, zoom: 0, margin: 0 }
    let frame: number | undefined
    let timer: number | undefined
    let shown = shownSession(store.shown())

    const draw = () => {
      frame = undefined
      const { transform, width, height } = flow.getState()
      const [x, y, zoom] = transform
      const margin = Math.round(Math.max(width, height) * marginShare)
      const scale = Math.min(2, devicePixelRatio)
      const size = [Math.round((width + 2 * margin) * scale), Math.round((height + 2 * margin) * scale)] as const
      if (element.width !== size[0]) element.width = size[0]
      if (element.height !== size[1]) element.height = size[1]
      element.style.width = `${width + 2 * margin}px`
      element.style.height = `${height + 2 * margin}px`
      element.style.left = element.style.top = `${-margin}px`
      element.style.transformOrigin = `${margin}px ${margin}px`
      element.style.transform = 'none'
      context.setTransform(1, 0, 0, 1, 0, 0)
      context.clearRect(0, 0, element.width, element.height)
      context.setTransform(zoom * scale, 0, 0, zoom * scale, (x + margin) * scale, (y + margin) * scale)
      const state = store.shown()
      shown = shownSession(state)
      const names = (id: string) => nodeName(id, shown, state.graph)
      const view = [
        (-x - margin) / zoom,
        (-y - margin) / zoom,
        (width + margin - x) / zoom,
        (height + margin - y) / zoom,
      ] as const
      drawOverview(
        context,
        { laidOut, edges, session: shown, names, selected: selectedNode(), withCards, palette },
        view,
        zoom,
      )
      drawn = { x, y, zoom, margin }
    }
    const soon = () => {
      frame ??= requestAnimationFrame(draw)
    }
    const later = (ms: number) => {
      timer ??= window.setTimeout(() => {
        timer = undefined
        soon()
      }, ms)
    }
    const move = () => {
      const [x, y, zoom] = flow.getState().transform
      const stretch = zoom / drawn.zoom
      const [left, top] = [x - stretch * drawn.x, y - stretch * drawn.y]
      element.style.transform = `translate(${left}px, ${top}px) scale(${stretch})`
      const isBeyond = Math.abs(left) > drawn.margin || Math.abs(top) > drawn.margin || stretch > 1.6 || stretch < 0.7
      if (isBeyond) soon()
      else if (stretch !== 1) later(settleMs)
    }
    const repaint = () => {
      palette = readPalette()
      soon()
    }
    draw()
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', repaint)
    const themes = new MutationObserver(repaint)
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    // Names are drawn with the page's font, which may still be loading.
    void document.fonts.ready.then(soon)
    let size = ''
    const stops = [
      flow.subscribe(({ width, height }) => {
        const next = `${width} ${height}`
        if (next !== size) soon()
        size = next
        move()
      }),
      store.subscribe(() => {
        if (shownSession(store.shown()) !== shown) later(redrawMs)
      }),
      onPlace(soon),
    ]
    return () => {
      stops.forEach((stop) => stop())
      themes.disconnect()
      scheme.removeEventListener('change', repaint)
      clearTimeout(timer)
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }, [laidOut, withCards, edges, flow, store])
  // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a canvas takes no focus; its nodes are in the document as cards.
  return <canvas ref={canvas} className={`overview${withCards ? ' whole' : ''}`} aria-hidden="true" />
}
