import { expect, test } from 'vitest'

import { axisOf } from '../timeline/axis'
import { type Bar, type Lanes, noLanes } from '../timeline/lanes'
import { marksOf } from './marks'

const axis = axisOf({ start: 0, now: 1000, end: 1000, lanes: noLanes }, { by: 'time', shortensIdle: true })
const lanesOf = (...bars: Partial<Bar>[]): Lanes =>
  new Map([
    [
      'a',
      {
        id: 'a',
        bars: bars.map(
          (bar) =>
            ({
              from: 0,
              to: undefined,
              attempt: 1,
              during: 'running',
              status: 'completed',
              revision: 1,
              ...bar,
            }) as Bar,
        ),
      },
    ],
  ])

test('changes, errors and reviews each have their mark', () => {
  const marks = marksOf(
    lanesOf({ from: 100, to: 300, status: 'failed' }, { from: 500, during: 'suspended', status: 'suspended' }),
    axis,
  )
  expect(marks).toEqual([
    { kind: 'change', at: 0.1 },
    { kind: 'review', at: 0.5 },
    { kind: 'error', at: 0.3 },
  ])
})

test('on one spot the graver mark stays, and the number of marks is bounded', () => {
  const bars = Array.from({ length: 5000 }, (_, index) => ({ from: index / 5, to: index / 5 + 0.1 }))
  const marks = marksOf(lanesOf(...bars, { from: 500, to: 500, status: 'failed' }), axis, 100)
  expect(marks.length).toBeLessThanOrEqual(101)
  expect(marks.filter(({ kind }) => kind === 'error')).toHaveLength(1)
})
