import { expect, test } from 'vitest'

import { answerOf } from './review'
import { asDraft } from './use-draft'

const nothingElse = { comment: ' ', reviewer: '' }

test('an edited text is the data itself', () => {
  const draft = asDraft({ text: 'before', model: 'm' })
  expect(answerOf({ decision: 'modify', draft, edited: 'after', ...nothingElse })).toEqual({
    review: { action: 'modify', data: 'after' },
  })
  expect(answerOf({ decision: 'modify', draft, edited: '{"a": 1}', ...nothingElse })).toEqual({
    review: { action: 'modify', data: '{"a": 1}' },
  })
})

test('an edited object stays one, unless it is no longer JSON', () => {
  const draft = asDraft({ rows: 1 })
  expect(answerOf({ decision: 'modify', draft, edited: '{"rows": 2}', ...nothingElse }).review['data']).toEqual({
    rows: 2,
  })
  expect(answerOf({ decision: 'modify', draft, edited: 'two rows', ...nothingElse }).review['data']).toBe('two rows')
})

test('an approval carries no data, but who decided and what they said', () => {
  const answer = answerOf({ decision: 'approve', draft: asDraft('a text'), comment: ' fine ', reviewer: ' Ada ' })
  expect(answer).toEqual({ review: { action: 'approve', reviewer: 'Ada', comment: 'fine' } })
})
