import type { GraphDefinition, NodeStatus, WorkflowSession } from '@relive/types'
import { type DrawnEdge, drawnEdges, labelOf, lookOf } from '../../../dashboard/src/graph/edges'
import { visibleGraph } from '../../../dashboard/src/graph/fold'
import { grid, layered } from '../../../dashboard/src/graph/layers'
import { boundsOf, type Layout, type LayoutRequest, nodeSize } from '../../../dashboard/src/graph/placement'
import { html, plainName, setText, svg } from './dom'

/** Nodes that are drawn. More of them in one picture say nothing, and slow a page down. */
const nodesAtMost = 1_000

const shapes: Record<NodeStatus, string> = {
  pending: 'M1.4 6a4.6 4.6 0 1 0 9.2 0a4.6 4.6 0 1 0-9.2 0',
  running: 'M3 1.6v8.8L10.5 6z',
  completed: 'M1.6 6.4 4.8 9.6 10.6 2.6',
  failed: 'm2.2 2.2 7.6 7.6m0-7.6L2.2 9.8',
  skipped: 'M2 6h8',
  suspended: 'M3.2 1.8v8.4M8.8 1.8v8.4',
}

/** Around the nodes, so that edges that lead back have room. */
const margin = 34

interface Card {
  readonly id: string
  readonly group: SVGGElement
  readonly icon: SVGPathElement
  readonly name: SVGTextElement
  readonly meta: SVGTextElement
  readonly title: SVGTitleElement
  readonly progress: SVGRectElement
}

/** The graph as a picture. Laid out once for each graph; a newer state changes only what it has to. */
export class GraphView {
  readonly element = html('div', { class: 'graph', part: 'graph' })
  #graph: GraphDefinition | undefined
  #cards: Card[] = []
  #edges: (DrawnEdge & { line: SVGPathElement })[] = []
  #shown: WorkflowSession | undefined

  /** Without a graph, the nodes that were named so far. */
  show(graph: GraphDefinition | undefined, session: WorkflowSession): void {
    const shown = graph ?? namedNodes(session, this.#graph)
    if (shown !== this.#graph) {
      this.#graph = shown
      this.#shown = undefined
      this.#draw(shown)
    }
    const before = this.#shown
    if (before?.nodes === session.nodes) return
    this.#shown = session
    for (const card of this.#cards) {
      if (before === undefined || before.nodes[card.id] !== session.nodes[card.id]) update(card, shown, session)
    }
    for (const edge of this.#edges)
      edge.line.setAttribute('class', `edge ${lookOf(edge, session)}${edge.isBack ? ' back' : ''}`)
  }

  #draw(graph: GraphDefinition): void {
    const all = visibleGraph(graph, [], new Set())
    const items = all.items.slice(0, nodesAtMost)
    const index = new Map(items.map(({ id }, at) => [id, at]))
    const edges = all.edges.filter(({ source, target }) => index.has(source) && index.has(target))
    const { clientWidth: width, clientHeight: height } = this.element
    const request: LayoutRequest = {
      ids: items.map(({ id }) => id),
      edges: edges.map(({ source, target }) => [index.get(source) ?? 0, index.get(target) ?? 0]),
      direction: 'auto',
      space: { width: width || 600, height: height || 300 },
    }
    const direction = request.space.width >= request.space.height ? 'LR' : 'TB'
    const layout = edges.length === 0 ? grid(request) : layered(request, direction)
    const bounds = boundsOf(layout)
    const view = [bounds.x - margin, bounds.y - margin, bounds.width + 2 * margin, bounds.height + 2 * margin]
    const picture = svg('svg', {
      viewBox: view.map(Math.round).join(' '),
      width: Math.round(view[2] ?? 1),
      role: 'img',
      'aria-label': `Graph of ${items.length} nodes`,
    })
    this.#edges = drawnEdges({ graph: { ...all, items, edges }, layout }).map((edge) => ({
      ...edge,
      line: svg('path', {
        class: 'edge ahead',
        d: backPath(layout, index.get(edge.source.id), index.get(edge.target.id)) ?? edge.path,
      }),
    }))
    this.#cards = items.map(({ id }, at) => card(id, layout.positions[at] ?? [0, 0]))
    const labels = this.#edges.flatMap(({ source, target, middle: [x, y] }) => {
      const label = labelOf(graph, source, target)
      return label === undefined ? [] : [svg('text', { class: 'label', x, y }, plainName(label))]
    })
    picture.append(...this.#edges.map(({ line }) => line), ...this.#cards.map(({ group }) => group), ...labels)
    const more = all.items.length - items.length
    const note = more > 0 ? html('p', { class: 'note' }, `and ${more} more nodes`) : undefined
    this.element.replaceChildren(picture, ...(note === undefined ? [] : [note]))
  }
}

/** An arc beside the nodes for an edge that does not lead onward; `undefined` for the others. */
function backPath(layout: Layout, from: number | undefined, to: number | undefined): string | undefined {
  const [source, target] = [layout.positions[from ?? -1], layout.positions[to ?? -1]]
  if (source === undefined || target === undefined) return undefined
  const { width, height } = nodeSize
  const bow = margin * 1.2
  if (layout.direction === 'LR') {
    if (target[0] > source[0]) return undefined
    const [x1, x2] = [source[0] + width / 2, target[0] + width / 2]
    const [y1, y2] = [source[1] + height, target[1] + height]
    return `M${x1} ${y1}C${x1 - 20} ${y1 + bow} ${x2 + 20} ${y2 + bow} ${x2} ${y2}`
  }
  if (target[1] > source[1]) return undefined
  const [y1, y2] = [source[1] + height / 2, target[1] + height / 2]
  const [x1, x2] = [source[0] + width, target[0] + width]
  return `M${x1} ${y1}C${x1 + bow} ${y1 - 10} ${x2 + bow} ${y2 + 10} ${x2} ${y2}`
}

function card(id: string, [x, y]: readonly [number, number]): Card {
  const { width, height } = nodeSize
  const icon = svg('path', { class: 'icon', transform: 'translate(12 13)' })
  const name = svg('text', { class: 'name', x: 31, y: 23 })
  const meta = svg('text', { class: 'meta', x: 12, y: 43 })
  const progress = svg('rect', { class: 'progress', x: 1, y: height - 4, width: 0, height: 3, rx: 1.5 })
  const title = svg('title')
  const frame = svg('rect', { class: 'card', width, height, rx: 9 })
  const group = svg('g', { transform: `translate(${x} ${y})` }, title, frame, icon, name, meta, progress)
  return { id, group, icon, name, meta, title, progress }
}

function update(card: Card, graph: GraphDefinition, session: WorkflowSession): void {
  const [node, planned] = [session.nodes[card.id], graph.nodes[card.id]]
  const status = node?.status ?? 'pending'
  const name = plainName(node?.name ?? planned?.name ?? card.id) || card.id
  const type = plainName(node?.type || planned?.type || node?.kind || '')
  const attempt = (node?.attempt ?? 1) > 1 ? ` ×${node?.attempt}` : ''
  // Anything may come from a newer server; only what is known becomes a class.
  const known = Object.hasOwn(shapes, status) ? status : 'pending'
  card.group.setAttribute('class', `node ${known}`)
  card.icon.setAttribute('d', shapes[known])
  setText(card.name, shortened(name, 17 - attempt.length) + attempt)
  setText(card.meta, shortened(type === '' || type === name ? status : `${type} · ${status}`, 25))
  setText(card.title, [`${name}${attempt}: ${status}`, node?.error?.slice(0, 500) ?? ''].join('\n').trim())
  const done = status === 'running' && typeof node?.progress === 'number' ? Math.min(1, Math.max(0, node.progress)) : 0
  card.progress.setAttribute('width', String(Math.round(done * (nodeSize.width - 2))))
}

function shortened(text: string, length: number): string {
  const characters = Array.from(text)
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`
}

/** As a graph without edges; the same one as before while no other nodes have come. */
function namedNodes(session: WorkflowSession, before: GraphDefinition | undefined): GraphDefinition {
  const ids = Object.keys(session.nodes)
  if (
    before !== undefined &&
    Object.keys(before.nodes).length === ids.length &&
    ids.every((id) => Object.hasOwn(before.nodes, id))
  )
    return before
  const nodes = Object.fromEntries(ids.map((id) => [id, { id, type: '', name: id }]))
  return { name: '', startNodeId: ids[0] ?? '', nodes }
}
