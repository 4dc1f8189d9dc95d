import { expect, test } from 'vitest'

import { ago, duration, position } from './time'

test.each([
  [0, '0 ms'],
  [49.7, '49 ms'],
  [999, '999 ms'],
  [1000, '1.0 s'],
  [11_249, '11.2 s'],
  [59_999, '59.9 s'],
  [60_000, '1:00'],
  [3_599_999, '59:59'],
  [3_600_000, '1:00:00'],
  [11_229_000, '3:07:09'],
  [187_200_000, '2 d 4 h'],
  [-5, '0 ms'],
])('a duration of %i ms reads %s', (ms, text) => expect(duration(ms)).toBe(text))

test.each([
  [0, '00:00.0'],
  [42_849, '00:42.8'],
  [59_999, '00:59.9'],
  [3_723_456, '1:02:03.4'],
  [183_845_000, '2 d 03:04:05'],
])('the position %i ms reads %s', (ms, text) => expect(position(ms)).toBe(text))

test('how long ago is worded in the reader’s language', () => {
  expect(ago(14_000, 'en')).toMatch(/14/)
  expect(ago(3 * 86_400_000, 'zh-CN')).toMatch(/3/)
  expect(ago(-50, 'en')).toBe(ago(0, 'en'))
})
