import { useStore as useFlow, useReactFlow, useStoreApi } from '@xyflow/react'
import { type PointerEvent, useEffect, useMemo, useRef } from 'react'

import { useOpenSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { throttle } from '../store/throttle'
import { statusOfItem } from './edges'
import type { LaidOut } from './laid-out'
import { readPalette } from './overview-drawing'
import { boundsOf, nodeSize } from './placement'

const size = { width: 168, height: 108 }
const padding = 6
/** Statuses are drawn anew at most this often. */
const redrawMs = 500
/** On a stage that is narrower there is no room for it. */
const stageFrom = 640

/**
 * The whole graph in a corner, with a frame around what is seen of it; shown while that is not everything. It is for the
 * pointer: keys find nodes by their names.
 */
export function Minimap({ laidOut }: { laidOut: LaidOut }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const { store } = useOpenSession()
  const flow = useStoreApi()
  const { setCenter, getZoom } = useReactFlow()
  const bounds = useMemo(() => boundsOf(laidOut.layout), [laidOut])
  const scale = Math.min((size.width - 2 * padding) / bounds.width, (size.height - 2 * padding) / bounds.height)
  const isShown = useFlow(({ transform: [x, y, zoom], width, height }) => {
    if (width < stageFrom) return false
    const [left, top] = [x + bounds.x * zoom, y + bounds.y * zoom]
    return left < -1 || top < -1 || left + bounds.width * zoom > width + 1 || top + bounds.height * zoom > height + 1
  })
  useEffect(() => {
    const context = canvas.current?.getContext('2d')
    if (!isShown || context == null) return
    const density = Math.min(2, devicePixelRatio)
    const draw = () => {
      const palette = readPalette()
      const session = shownSession(store.shown())
      context.setTransform(density, 0, 0, density, 0, 0)
      context.clearRect(0, 0, size.width, size.height)
      laidOut.graph.items.forEach((item, at) => {
        const [x, y] = laidOut.layout.positions[at] ?? [0, 0]
        context.fillStyle = palette.status[statusOfItem(item, session)]
        context.fillRect(
          padding + (x - bounds.x) * scale,
          padding + (y - bounds.y) * scale,
          Math.max(1.5, nodeSize.width * scale),
          Math.max(1.5, nodeSize.height * scale),
        )
      })
    }
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', draw)
    const themes = new MutationObserver(draw)
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    draw()
    const stop = throttle(store.subscribe, redrawMs)(draw)
    return () => {
      stop()
      themes.disconnect()
      scheme.removeEventListener('change', draw)
    }
  }, [isShown, laidOut, bounds, scale, store])
  const move = (event: PointerEvent<HTMLDivElement>) => {
    if (event.buttons !== 1) return
    event.preventDefault()
    event.currentTarget.setPointerCapture(event.pointerId)
    const box = event.currentTarget.getBoundingClientRect()
    const [x, y] = [event.clientX - box.left - padding, event.clientY - box.top - padding]
    void setCenter(bounds.x + x / scale, bounds.y + y / scale, { zoom: getZoom() })
  }
  if (!isShown) return null
  const density = Math.min(2, devicePixelRatio)
  return (
    // The keyboard has the search of nodes, which brings them into view.
    <div className="minimap" aria-hidden="true" onPointerDown={move} onPointerMove={move}>
      <canvas ref={canvas} width={size.width * density} height={size.height * density} />
      <Frame scale={scale} left={bounds.x} top={bounds.y} flow={flow} />
    </div>
  )
}

/** What is seen: moved by itself, since panning changes it in every frame. */
function Frame(props: { scale: number; left: number; top: number; flow: ReturnType<typeof useStoreApi> }) {
  const { scale, left, top, flow } = props
  const frame = useRef<HTMLElement>(null)
  useEffect(() => {
    const place = () => {
      const element = frame.current
      if (element === null) return
      const { transform, width, height } = flow.getState()
      const [x, y, zoom] = transform
      const at = (offset: number, start: number) => padding + (-offset / zoom - start) * scale
      element.style.transform = `translate(${at(x, left)}px, ${at(y, top)}px)`
      element.style.width = `${(width / zoom) * scale}px`
      element.style.height = `${(height / zoom) * scale}px`
    }
    place()
    return flow.subscribe(place)
  }, [scale, left, top, flow])
  return <i ref={frame} />
}
