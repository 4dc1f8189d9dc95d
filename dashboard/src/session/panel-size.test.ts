import { expect, test } from 'vitest'

import { boundsOf, listFrom, sizeWithin } from './panel-size'

test('whatever is wanted, the graph keeps some room at every width', () => {
  for (let width = 861; width <= 2560; width += 1) {
    const panels = sizeWithin(boundsOf('panels', width), 5000)
    const side = width < listFrom ? 0 : sizeWithin(boundsOf('side', width), 5000)
    expect(width - panels - side, `at ${width}`).toBeGreaterThan(320)
  }
})

test('what was wanted in a large window is wanted there again, and is no more than a small one has room for', () => {
  expect(sizeWithin(boundsOf('panels', 1920), 800)).toBe(800)
  expect(sizeWithin(boundsOf('panels', 900), 800)).toBe(522)
  expect(sizeWithin(boundsOf('panels', 900), undefined)).toBe(372)
  expect(sizeWithin(boundsOf('side', 1440), -3)).toBe(180)
})
