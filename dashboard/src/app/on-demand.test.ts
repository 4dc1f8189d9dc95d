import { expect, test, vi } from 'vitest'

import { onDemand } from './on-demand'

test('code is loaded once, and is there from then on', async () => {
  const ask = vi.fn(async () => 'code')
  const code = onDemand(ask)
  expect(code.loaded()).toBeUndefined()
  const told = vi.fn<() => void>()
  const stop = code.subscribe(told)
  await Promise.all([code.load(), code.load()])
  expect(ask).toHaveBeenCalledTimes(1)
  expect(told).toHaveBeenCalledTimes(1)
  expect(code.loaded()).toBe('code')
  stop()
})

test('after a failure it is asked for again', async () => {
  const ask = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new Error('gone')).mockResolvedValue('code')
  const code = onDemand(ask)
  await expect(code.load()).rejects.toThrow('gone')
  expect(await code.load()).toBe('code')
})
