import { expect, test } from 'vitest'

import { FrameStore } from './frame-store'

function held() {
  const frames: (() => void)[] = []
  const store = new FrameStore({ a: 1, b: { c: 1 } }, (run) => frames.push(run))
  return { store, nextFrame: () => frames.splice(0).forEach((run) => run()), frames }
}

test('many changes in one frame are shown once', () => {
  const { store, nextFrame, frames } = held()
  let shown = 0
  store.subscribe(() => (shown += 1))
  for (let a = 2; a < 100; a += 1) store.update({ a })
  expect(frames).toHaveLength(1)
  expect(store.shown().a).toBe(1)
  expect(store.latest.a).toBe(99)
  nextFrame()
  expect(store.shown().a).toBe(99)
  expect(shown).toBe(1)
})

test('what does not change stays the same object, and a change to the same draws nothing', () => {
  const { store, nextFrame, frames } = held()
  const { b } = store.shown()
  store.update((state) => state)
  expect(frames).toHaveLength(0)
  store.update({ a: 2 })
  nextFrame()
  expect(store.shown().b).toBe(b)
})

test('what a person has done is shown at once, and not again with the frame', () => {
  const { store, nextFrame } = held()
  let shown = 0
  store.subscribe(() => (shown += 1))
  store.update({ a: 2 })
  store.flush()
  expect(store.shown().a).toBe(2)
  nextFrame()
  expect(shown).toBe(1)
})

test('a listener that goes while others are told misses nothing for them', () => {
  const { store } = held()
  const heard: string[] = []
  const stop = store.subscribe(() => stop())
  store.subscribe(() => heard.push('second'))
  store.update({ a: 2 })
  store.flush()
  expect(heard).toEqual(['second'])
})
