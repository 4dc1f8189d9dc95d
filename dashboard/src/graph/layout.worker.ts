import { layOut } from './layout'
import type { LayoutRequest } from './placement'

// In a worker: the layout of a graph of hundreds of nodes would block the page noticeably.
addEventListener('message', ({ data }: MessageEvent<{ id: number; request: LayoutRequest }>) => {
  postMessage({ id: data.id, layout: layOut(data.request) })
})
