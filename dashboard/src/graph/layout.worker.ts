import { layOut } from './layout'
import type { LayoutRequest } from './placement'

// Apart from the page's own thread: a graph of hundreds of nodes takes long enough to be felt.
addEventListener('message', ({ data }: MessageEvent<{ id: number; request: LayoutRequest }>) => {
  postMessage({ id: data.id, layout: layOut(data.request) })
})
