import { memo } from 'react'

import { duration } from '../format/time'
import { useText } from '../i18n/text'
import { selectNode } from '../session/selection'
import { Icon } from '../ui/icon'
import type { Lane } from './lanes'
import { deepest } from './nested'
import { useTimelineView } from './use-axis'

interface LaneRowProps {
  lane: Lane
  name: string
  /** How far it is set in; `undefined` where no lane is. */
  depth: number | undefined
  /** Lanes below it. */
  inside: number
  isFolded: boolean
}

const stepWidth = 12
const foldWidth = 24

/** The name of a node beside its bars, and what it did last in words. */
export const LaneRow = memo(function LaneRow({ lane, name, depth, inside, isFolded }: LaneRowProps) {
  const t = useText()
  const view = useTimelineView()
  const words = lane.bars
    .slice(-20)
    .map(({ status, from, to }) => `${t.status[status]}${to === undefined ? '' : ` ${duration(to - from)}`}`)
  const left = stepWidth * Math.min(depth ?? 0, deepest)
  const toggle = () => {
    const folded = new Set(view.folded)
    if (!folded.delete(lane.id)) folded.add(lane.id)
    view.fold(folded)
  }
  return (
    <>
      <button
        type="button"
        className={`lane-name${depth === undefined ? '' : ' nested'}`}
        style={depth === undefined ? undefined : { paddingLeft: foldWidth + left }}
        aria-label={`${name}: ${words.join(', ')}`}
        title={name}
        onClick={() => selectNode(lane.id, 'timeline')}
      >
        {name}
      </button>
      {inside > 0 && (
        <button
          type="button"
          className="lane-fold"
          style={{ left }}
          aria-expanded={!isFolded}
          aria-label={t.stepsOf(name)}
          title={t.stepsOf(name)}
          onClick={toggle}
        >
          <Icon name="chevron" />
        </button>
      )}
      {isFolded && (
        <span className="lane-inside num" aria-hidden="true">
          +{inside}
        </span>
      )}
    </>
  )
})
