import { type FormEvent, useState } from 'react'

import { splitTags } from '../app/tags'
import { useText } from '../i18n/text'
import { Dialog } from '../ui/dialog'
import type { LabelChange } from './labels'

export type { LabelChange }

interface TagDialogProps {
  /** Those that any of the sessions has. */
  tags: readonly string[]
  count: number
  onChange(change: LabelChange): void
  onClose(): void
}

/** Adds tags to many sessions, and takes tags from those that have them. */
export function TagDialog({ tags, count, onChange, onClose }: TagDialogProps) {
  const t = useText()
  const [text, setText] = useState('')
  const [remove, setRemove] = useState<readonly string[]>([])
  const add = splitTags(text)
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onClose()
    onChange({ add, remove })
  }
  return (
    <Dialog title={t.tagSelectedTitle(count)} onClose={onClose}>
      <form className="start-form" onSubmit={submit}>
        <label>
          {t.tagsToAdd}
          <input value={text} placeholder={t.tagsToAddHint} onChange={(event) => setText(event.target.value)} />
        </label>
        {tags.length > 0 && (
          <fieldset className="checks">
            <legend>{t.tagsToRemove}</legend>
            {tags.map((tag) => (
              <label key={tag}>
                <input
                  type="checkbox"
                  checked={remove.includes(tag)}
                  onChange={() =>
                    setRemove((all) => (all.includes(tag) ? all.filter((other) => other !== tag) : [...all, tag]))
                  }
                />
                {tag}
              </label>
            ))}
          </fieldset>
        )}
        <div className="buttons end">
          <button type="button" onClick={onClose}>
            {t.cancelDialog}
          </button>
          <button type="submit" className="primary" disabled={add.length === 0 && remove.length === 0}>
            {t.changeTags}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
