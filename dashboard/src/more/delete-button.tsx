import { useState } from 'react'

import { request } from '../api/http'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { ConfirmDialog } from '../ui/confirm-dialog'
import { showNotice } from '../ui/notices'
import { useMoreText } from './text'

interface DeleteButtonProps {
  /** What it is called, for those who hear it. */
  name: string
  path: string
  consequence: string
  onDeleted(): void
}

/** Deletes something at a path, after asking. */
export function DeleteButton({ name, path, consequence, onDeleted }: DeleteButtonProps) {
  const t = useText()
  const m = useMoreText()
  const [isAsking, setAsking] = useState(false)
  const remove = async () => {
    try {
      await request('DELETE', path)
      onDeleted()
    } catch (error) {
      showNotice(t.refused(m.delete), reasonOf(error))
    }
  }
  return (
    <>
      <button type="button" className="danger" aria-label={m.deleteOf(name)} onClick={() => setAsking(true)}>
        {m.delete}
      </button>
      {isAsking && (
        <ConfirmDialog
          title={m.deleteOf(name)}
          consequence={consequence}
          action={m.delete}
          onConfirm={() => void remove()}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  )
}
