import { type FormEvent, useId, useMemo, useState } from 'react'

import type { ListFilters } from '../app/address'
import { adjustFilters } from '../app/place'
import { useText } from '../i18n/text'
import { useStore } from '../store/use-store'
import { Popover } from '../ui/popover'
import type { ListFeed } from './list-feed'

const suggestedAtMost = 200
const tagsAtMost = 20

/** Filters by tags: any can be written, and those of the runs that are listed are suggested. */
export function TagsMenu({ filters, feed }: { filters: ListFilters; feed: ListFeed }) {
  const t = useText()
  const { tags } = filters
  return (
    <>
      <Popover
        className={`pill${tags.length > 0 ? ' on' : ''}`}
        content={(close) => <TagForm tags={tags} feed={feed} close={close} />}
      >
        {t.tags}
      </Popover>
      {tags.map((tag) => (
        <button
          key={tag}
          type="button"
          className="pill on"
          title={t.withoutTag(tag)}
          onClick={() => adjustFilters({ tags: tags.filter((other) => other !== tag) })}
        >
          {tag} ×
        </button>
      ))}
    </>
  )
}

function TagForm({ tags, feed, close }: { tags: readonly string[]; feed: ListFeed; close: () => void }) {
  const t = useText()
  const id = useId()
  const [text, setText] = useState('')
  const sessions = useStore(feed.store, (state) => state.sessions)
  const suggested = useMemo(() => {
    const all = new Set(sessions.flatMap((session) => session.tags ?? []))
    return [...all].sort().slice(0, suggestedAtMost)
  }, [sessions])
  const add = (event: FormEvent) => {
    event.preventDefault()
    const tag = text.trim()
    if (tag === '') return
    adjustFilters({ tags: [...new Set([...tags, tag])].slice(0, tagsAtMost) })
    close()
  }
  return (
    <form className="popover-body" onSubmit={add}>
      <label className="field">
        {t.withTag}
        <input list={id} maxLength={64} value={text} onChange={(event) => setText(event.target.value)} autoFocus />
      </label>
      <datalist id={id}>
        {suggested.map((tag) => (
          <option key={tag} value={tag} />
        ))}
      </datalist>
      <button type="submit" disabled={text.trim() === ''}>
        {t.filterByTag}
      </button>
    </form>
  )
}
