import 'uplot/dist/uPlot.min.css'

import { useEffect, useRef } from 'react'
import UPlot from 'uplot'

/** One line, or one part of a stack of bars. */
export interface Series {
  readonly label: string
  /** A custom property of the page's colours, without its dashes. */
  readonly colour: string
  /** One for each slot; `null` where there is none. */
  readonly values: readonly (number | null)[]
}

interface ChartProps {
  /** Where each slot begins, and where the last one ends: milliseconds since 1970. */
  times: readonly number[]
  end: number
  kind: 'bars' | 'lines'
  series: readonly Series[]
  format: (value: number) => string
  locale: string
  /** What the pointer is on, as an index of `times`. */
  onPoint: (index: number | undefined) => void
  onPick: (index: number) => void
}

const height = 150
const second = 1000

/**
 * A chart on a canvas, for the eye: what it shows is in a table beside it. It is drawn anew when its values or the
 * colours of the page change, and resized as it is.
 */
export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const newest = useRef(props)
  newest.current = props
  const { times, end, kind, series, format, locale } = props
  useEffect(() => {
    const element = box.current
    if (element === null) return
    let plot: UPlot | undefined
    const draw = () => {
      plot?.destroy()
      plot = new UPlot(
        options(() => newest.current, element),
        dataOf(newest.current),
        element,
      )
    }
    draw()
    const resized = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', draw)
    const themes = new MutationObserver(draw)
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      resized.disconnect()
      scheme.removeEventListener('change', draw)
      themes.disconnect()
      plot?.destroy()
    }
  }, [times, end, kind, series, format, locale])
  return <div ref={box} className="chart" aria-hidden="true" style={{ height }} />
}

/** Parts of a stack are drawn from the whole one down to the first, each over the one before. */
function dataOf({ times, kind, series }: ChartProps): UPlot.AlignedData {
  const x = times.map((time) => time / second)
  if (kind === 'lines') return [x, ...series.map(({ values }) => [...values])]
  const sums = series.map((_, upTo) =>
    x.map((__, index) => series.slice(0, upTo + 1).reduce((sum, { values }) => sum + (values[index] ?? 0), 0)),
  )
  return [x, ...sums.toReversed()]
}

/** The width of labels, which differ between a dollar and a billion tokens. */
function roomFor(labels: readonly string[]): number {
  return Math.max(62, 18 + 6.6 * Math.max(0, ...labels.map(({ length }) => length)))
}

function options(props: () => ChartProps, element: HTMLElement): UPlot.Options {
  const { times, end, kind, series, format, locale } = props()
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim()
  const font = `11px ${style.fontFamily}`
  const axis = { stroke: colour('dim'), font, grid: { stroke: colour('line'), width: 1 }, ticks: { show: false } }
  const first = (times[0] ?? 0) / second
  const drawn = kind === 'bars' ? series.toReversed() : series
  const bars = UPlot.paths.bars?.({ size: [0.8, 48], align: 1 })
  const isShort = end - (times[0] ?? 0) <= 48 * 3_600_000
  const date = new Intl.DateTimeFormat(
    locale,
    isShort ? { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } : { month: 'short', day: 'numeric' },
  )
  return {
    width: Math.max(1, element.clientWidth),
    height,
    padding: [8, 18, 0, 0],
    legend: { show: false },
    scales: {
      x: { time: true, range: () => [first, end / second] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 24, values: (_, splits) => splits.map((at) => date.format(at * second)) },
      { ...axis, size: (_, labels) => roomFor(labels ?? []), values: (_, splits) => splits.map(format) },
    ],
    cursor: { y: false, points: { show: kind === 'lines' }, drag: { x: false, y: false } },
    series: [
      {},
      ...drawn.map(
        (one): UPlot.Series => ({
          label: one.label,
          stroke: colour(one.colour),
          width: kind === 'bars' ? 0 : 2,
          points: { show: kind === 'lines', size: 5, fill: colour(one.colour) },
          ...(kind === 'bars' && { fill: colour(one.colour), ...(bars !== undefined && { paths: bars }) }),
        }),
      ),
    ],
    hooks: pointerHooks(props),
  }
}

/** What the pointer is on is told, and a click on it chooses it. A slot reaches from its time to the next. */
function pointerHooks(props: () => ChartProps): UPlot.Hooks.Arrays {
  const slot = (plot: UPlot) => {
    const { left = -1 } = plot.cursor
    if (left < 0) return undefined
    const at = plot.posToVal(left, 'x') * second
    const { times } = props()
    return times.findLastIndex((time) => time <= at)
  }
  return {
    setCursor: [(plot) => props().onPoint(slot(plot))],
    ready: [
      (plot) => {
        plot.over.addEventListener('click', () => {
          const at = slot(plot)
          if (at !== undefined && at >= 0) props().onPick(at)
        })
      },
    ],
  }
}
