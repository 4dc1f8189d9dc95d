import type { Key } from '@relive/types'
import { useState } from 'react'

import { request } from '../api/http'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'

interface RevokeDialogProps {
  value: Key
  onRevoked(): void
  onClose(): void
}

export function RevokeDialog({ value, onRevoked, onClose }: RevokeDialogProps) {
  const t = useText()
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const revoke = async () => {
    setBusy(true)
    setError(undefined)
    try {
      await request('DELETE', `/keys/${value.id}`)
      onRevoked()
      onClose()
    } catch (cause) {
      setError(reasonOf(cause))
      setBusy(false)
    }
  }
  return (
    <Dialog title={t.revokeKey(value.name)} onClose={onClose}>
      <p>{t.revokeIntro}</p>
      {error !== undefined && (
        <p className="error-line" role="alert">
          {error}
        </p>
      )}
      <div className="buttons end">
        <button type="button" onClick={onClose}>
          {t.cancelDialog}
        </button>
        <button type="button" className="primary" disabled={isBusy} onClick={() => void revoke()}>
          {t.revoke}
        </button>
      </div>
    </Dialog>
  )
}
