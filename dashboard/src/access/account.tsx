import { useState } from 'react'

import { linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { showNotice } from '../ui/notices'
import { roles } from './may'
import { signOut, useMay, useMe } from './me'

/** In the bar: the signed-in user, the links to the keys and the audit log, and signing out. Empty while access control is off. */
export function Account() {
  const t = useText()
  const me = useMe()
  const mayManageKeys = useMay('manageKeys')
  const mayReadAudit = useMay('readAudit')
  const [isBusy, setBusy] = useState(false)
  if (me?.actor === undefined) return null
  const leave = async () => {
    setBusy(true)
    try {
      await signOut()
    } catch (error) {
      showNotice(t.refused(t.signOut), reasonOf(error))
      setBusy(false)
    }
  }
  const role = roles.find((known) => known === me.role)
  const grant = role === undefined ? t.guest : t.role[role]
  // A token has no name of its own; the name of its giver is in it.
  const name = me.actor.kind === 'token' ? grant : me.actor.name
  return (
    <>
      <span className="account" title={t.accountTitle(name, grant, me.project)}>
        <b>{name}</b>
        {name !== grant && <span className="dim"> {grant}</span>}
      </span>
      {mayManageKeys && (
        <a className="button quiet" {...linkTo({ page: 'keys' })}>
          {t.keysPage}
        </a>
      )}
      {mayReadAudit && (
        <a className="button quiet" {...linkTo({ page: 'audit' })}>
          {t.auditPage}
        </a>
      )}
      {me.signedIn && (
        <button type="button" className="quiet" disabled={isBusy} onClick={() => void leave()}>
          {t.signOut}
        </button>
      )}
    </>
  )
}
