import { expect, test } from 'vitest'

import { listColumns } from '../app/address'
import { layoutOf } from './columns'

test('columns that have no room go, the least important first, and the name never', () => {
  const shown = (width: number) => layoutOf(listColumns, width).columns
  expect(shown(1920)).toEqual(listColumns)
  expect(shown(1024)).not.toContain('updated')
  expect(shown(390)).toEqual(['progress', 'duration'])
  for (let width = 320; width < 1920; width += 20)
    expect(shown(width).length).toBeLessThanOrEqual(shown(width + 1000).length)
})

test('the grid has a track for the box, the name and each column', () => {
  expect(layoutOf(['status', 'cost'], 1440).template).toBe('24px minmax(180px, 1fr) 112px 84px')
  expect(layoutOf([], 1440).template).toBe('24px minmax(180px, 1fr)')
})
