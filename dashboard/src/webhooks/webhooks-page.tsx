import type { Webhook, WebhookPage } from '@relive/types'
import { useEffect, useState } from 'react'

import { request } from '../api/http'
import type { PageOptions } from '../app/more-address'
import { adjustOptions } from '../app/place'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { FilterText } from '../more/filter-text'
import { ListPage, ListTable, RowActions } from '../more/list-page'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { reasonOf } from '../session/steering'
import { loadCatalog } from '../sessions/catalog'
import { showNotice } from '../ui/notices'
import { Deliveries } from './deliveries'
import { RotateDialog } from './rotate-dialog'
import { WebhookDialog } from './webhook-dialog'

/** The webhooks of the project, and what was sent to the chosen one. */
export function WebhooksPage({ options }: { options: PageOptions }) {
  const m = useMoreText()
  const list = usePaged<WebhookPage, Webhook>('/webhooks', (page) => page.webhooks)
  const { entries, reload } = list
  const chosen = entries?.find(({ id }) => id === options['id']) ?? entries?.[0]
  useEffect(() => void loadCatalog(), [])
  const choose = (id: string) => {
    adjustOptions({ id })
    reload()
  }
  return (
    <ListPage<Webhook>
      title={m.webhooks}
      error={list.error}
      makes={m.newWebhook}
      form={(webhook, close) => <WebhookDialog webhook={webhook} onSaved={choose} onClose={close} />}
    >
      {(edit) => (
        <>
          <div className="card">
            <ListTable
              name={m.webhooks}
              columns={[m.address, m.events, m.filter, m.state]}
              list={list}
              empty={m.noWebhooks}
            >
              {entries?.map((webhook) => (
                <Row
                  key={webhook.id}
                  webhook={webhook}
                  isChosen={webhook === chosen}
                  onEdit={() => edit(webhook)}
                  onChange={reload}
                />
              ))}
            </ListTable>
          </div>
          {chosen !== undefined && <Deliveries key={chosen.id} webhook={chosen} status={options['status'] ?? ''} />}
        </>
      )}
    </ListPage>
  )
}

interface RowProps {
  webhook: Webhook
  isChosen: boolean
  onEdit(): void
  onChange(): void
}

function Row({ webhook, isChosen, onEdit, onChange }: RowProps) {
  const t = useText()
  const m = useMoreText()
  const { id, url, types, filter, enabled, disabledReason, previousSecretUntil } = webhook
  const [isBusy, setBusy] = useState(false)
  const [isRotating, setRotating] = useState(false)
  const enable = async () => {
    setBusy(true)
    try {
      // Without a secret the old one is kept.
      await request('PUT', `/webhooks/${id}`, { body: { url, types, ...(filter && { filter }), enabled: !enabled } })
      onChange()
    } catch (error) {
      showNotice(t.refused(enabled ? m.disable : m.enable), reasonOf(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <tr className={isChosen ? 'chosen' : undefined}>
      <th scope="row" className="wide">
        <button
          type="button"
          className="link"
          aria-current={isChosen ? 'true' : undefined}
          onClick={() => adjustOptions({ id })}
        >
          {url}
        </button>
      </th>
      <td className="dim wide">{types.join(', ')}</td>
      <td className="dim">
        <FilterText filter={filter} />
      </td>
      <td>
        <span className={enabled ? 'short good' : 'short bad'}>{enabled ? m.on : m.off}</span>
        {disabledReason !== undefined && <p className="bad small">{disabledReason}</p>}
        {previousSecretUntil !== undefined && (
          <p className="dim small">{m.previousSecretUntil(moment(previousSecretUntil, Date.now(), t.locale))}</p>
        )}
      </td>
      <td>
        <span className="cell-actions">
          <button
            type="button"
            disabled={isBusy}
            aria-label={m.ofThing(enabled ? m.disable : m.enable, url)}
            onClick={() => void enable()}
          >
            {enabled ? m.disable : m.enable}
          </button>
          <button type="button" aria-label={m.ofThing(m.rotateSecret, url)} onClick={() => setRotating(true)}>
            {m.rotateSecret}
          </button>
          <RowActions
            name={url}
            path={`/webhooks/${id}`}
            consequence={m.deleteWebhook}
            onEdit={onEdit}
            onDeleted={onChange}
          />
        </span>
        {isRotating && <RotateDialog webhook={webhook} onRotated={onChange} onClose={() => setRotating(false)} />}
      </td>
    </tr>
  )
}
