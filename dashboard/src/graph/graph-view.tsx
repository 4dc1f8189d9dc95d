import '@xyflow/react/dist/base.css'

import {
  getViewportForBounds,
  type NodeTypes,
  ReactFlow,
  ReactFlowProvider,
  useStore as useFlow,
  useReactFlow,
  useStoreApi,
} from '@xyflow/react'
import { type MouseEvent, useCallback, useEffect, useMemo, useRef, useState } from 'react'

import { useText } from '../i18n/text'
import { selectedFrom, selectNode, useSelectedNode } from '../session/selection'
import { useSession } from '../session/session-context'
import { EdgeLayer } from './edge-layer'
import { findFrom } from './find-node'
import { foldedAtFirst, visibleGraph } from './fold'
import { FoldCard } from './fold-card'
import { flowNodes } from './graph-nodes'
import { GraphTools } from './graph-tools'
import { itemAt, readView, viewKey } from './in-view'
import { InsideContext } from './inside'
import type { LaidOut } from './laid-out'
import { Minimap } from './minimap'
import { NodeCard } from './node-card'
import { OverviewLayer } from './overview-layer'
import { boundsOf, type Direction, nodeSize } from './placement'
import { regionsOf } from './regions'
import { RunCard } from './run-card'
import { useLayout } from './use-layout'
import { useOpened } from './use-opened'
import { useShownGraph } from './use-shown-graph'

const nodeTypes: NodeTypes = { node: NodeCard, fold: FoldCard, run: RunCard }
/** A graph with more items than this is drawn on one canvas below this zoom. */
const [overviewFrom, overviewBelow] = [240, 0.75]
/** Below this zoom names cannot be read; only colours and shapes are drawn. */
const farBelow = 0.42
/** Below this zoom a card shows only the name. */
const midBelow = 0.82
const noNodes: never[] = []
const zoomRange = [0.04, 1.75] as const
/** Padding around the whole graph; on a narrow stage the tools would cover its last nodes. */
const [padding, narrowPadding, narrowBelow] = [0.05, { x: 0.05, top: 0.05, bottom: '58px' }, 560] as const
/** A small graph is drawn larger on a wide stage, as far as that is of use. */
const largest = (width: number) => Math.min(1.4, Math.max(1, width / 1000))
/** Room for the search above the first nodes. */
const findPadding = '54px'

export function GraphView() {
  return (
    <ReactFlowProvider>
      <Stage />
    </ReactFlowProvider>
  )
}

function Stage() {
  const t = useText()
  const graph = useShownGraph()
  const hasGraph = useSession((state) => state.graph !== null)
  const regions = useMemo(() => (graph === undefined ? [] : regionsOf(graph)), [graph])
  const [chosen, setChosen] = useState<{ of: typeof regions; folded: ReadonlySet<string> }>()
  const [direction, setDirection] = useState<Direction | 'auto'>('auto')
  const folded = useMemo(() => {
    if (chosen?.of === regions) return chosen.folded
    return foldedAtFirst(Object.keys(graph?.nodes ?? {}).length, regions)
  }, [chosen, regions, graph])
  const visible = useMemo(
    () => (graph === undefined ? undefined : visibleGraph(graph, regions, folded)),
    [graph, regions, folded],
  )
  const stage = useRef<HTMLDivElement>(null)
  const [space, setSpace] = useState<{ width: number; height: number }>()
  useEffect(() => {
    const box = stage.current?.getBoundingClientRect()
    if (box !== undefined) setSpace({ width: Math.max(1, box.width - 60), height: Math.max(1, box.height - 60) })
  }, [])
  const { inside, runs, value: insideOf } = useOpened(visible)
  const laidOut = useLayout(visible, direction, space, inside)
  const unfold = useCallback(
    (regionId: string) => setChosen({ of: regions, folded: new Set([...folded].filter((id) => id !== regionId)) }),
    [regions, folded],
  )
  const isLarge = (laidOut?.graph.items.length ?? 0) > overviewFrom
  const isOverview = useFlow(({ transform: [, , zoom] }) => zoom < overviewBelow) && isLarge
  const view = useFlow(viewKey)
  const nodes = useMemo(
    () => (laidOut === undefined || isOverview ? noNodes : flowNodes(laidOut, readView(view), unfold, runs)),
    [laidOut, isOverview, view, unfold, runs],
  )
  const distance = useFlow(({ transform: [, , zoom] }) => (zoom < farBelow ? ' far' : zoom < midBelow ? ' mid' : ''))
  const { screenToFlowPosition } = useReactFlow()
  const onPaneClick = (event: MouseEvent) => {
    const { x, y } = screenToFlowPosition({ x: event.clientX, y: event.clientY })
    const item = isOverview && laidOut !== undefined ? itemAt(laidOut, x, y) : undefined
    if (item?.kind === 'fold') unfold(item.region.id)
    else selectNode(item?.id, 'graph')
  }
  const showAll = useShowAll(laidOut, Object.keys(graph?.nodes ?? {}).length >= findFrom)
  useBringToView(laidOut)
  return (
    <div ref={stage} className={`stage${distance}${isLarge ? ' large' : ''}`} role="region" aria-label={t.graph}>
      {laidOut !== undefined && isLarge && <OverviewLayer laidOut={laidOut} withCards={isOverview} />}
      <InsideContext value={isLarge ? undefined : insideOf}>
        <ReactFlow
          nodes={nodes}
          edges={noNodes}
          nodeTypes={nodeTypes}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          deleteKeyCode={null}
          selectionKeyCode={null}
          panActivationKeyCode={null}
          minZoom={zoomRange[0]}
          maxZoom={zoomRange[1]}
          onPaneClick={onPaneClick}
        >
          {laidOut !== undefined && !isLarge && <EdgeLayer laidOut={laidOut} />}
        </ReactFlow>
      </InsideContext>
      {graph !== undefined && Object.keys(graph.nodes).length === 0 && (
        <p className="stage-empty">{hasGraph ? t.noNodes : t.noGraph}</p>
      )}
      {laidOut === undefined && visible !== undefined && visible.items.length > 0 && (
        <p className="stage-empty">{t.layingOut}</p>
      )}
      {laidOut !== undefined && <Minimap laidOut={laidOut} />}
      <GraphTools
        showAll={showAll}
        canFold={regions.some(({ id }) => !folded.has(id))}
        canUnfold={folded.size > 0}
        fold={() => setChosen({ of: regions, folded: new Set(regions.map(({ id }) => id)) })}
        unfold={() => setChosen({ of: regions, folded: new Set() })}
        turn={() => setDirection((laidOut?.layout.direction ?? 'LR') === 'LR' ? 'TB' : 'LR')}
      />
    </div>
  )
}

/** Fits the whole graph into view when it appears, after each new layout, and in another size unless it was moved. */
function useShowAll(laidOut: LaidOut | undefined, hasFind: boolean): () => void {
  const { setViewport } = useReactFlow()
  const flow = useStoreApi()
  const isReady = useFlow((state) => state.width > 0 && state.panZoom !== null)
  const size = useFlow(({ width, height }) => `${width} ${height}`)
  const shown = useRef('')
  const showAll = useCallback(() => {
    const { width, height } = flow.getState()
    // Not React Flow's own function, which knows only the visible nodes.
    if (laidOut === undefined) return
    const room = width < narrowBelow ? narrowPadding : { x: padding, y: padding }
    const around = hasFind ? { ...room, top: findPadding as `${number}px` } : room
    void setViewport(
      getViewportForBounds(boundsOf(laidOut.layout), width, height, zoomRange[0], largest(width), around),
    )
    shown.current = flow.getState().transform.join()
  }, [laidOut, hasFind, flow, setViewport])
  useEffect(() => {
    if (isReady) showAll()
  }, [isReady, showAll])
  useEffect(() => {
    if (size !== '' && flow.getState().transform.join() === shown.current) showAll()
  }, [size, flow, showAll])
  return showAll
}

/** Brings a node that was selected elsewhere into view, if it is not visible. */
function useBringToView(laidOut: LaidOut | undefined): void {
  const { setCenter, getViewport } = useReactFlow()
  const selected = useSelectedNode()
  const size = useFlow((state) => `${state.width} ${state.height}`)
  const newest = useRef(size)
  newest.current = size
  useEffect(() => {
    if (laidOut === undefined || selected === undefined || selectedFrom() === 'graph' || selectedFrom() === undefined)
      return
    const shownAs = laidOut.graph.standIns.get(selected) ?? selected
    const position = laidOut.layout.positions[laidOut.graph.items.findIndex(({ id }) => id === shownAs)]
    if (position === undefined) return
    const [x, y] = [position[0] + nodeSize.width / 2, position[1] + nodeSize.height / 2]
    const { x: left, y: top, zoom } = getViewport()
    const [width = 0, height = 0] = newest.current.split(' ').map(Number)
    const [screenX, screenY] = [x * zoom + left, y * zoom + top]
    const isInView = screenX > 60 && screenY > 40 && screenX < width - 60 && screenY < height - 40
    if (isInView && zoom >= farBelow) return
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches
    void setCenter(x, y, { zoom: Math.max(zoom, 0.8), duration: isCalm ? 0 : 250 })
  }, [selected, laidOut, getViewport, setCenter])
}
