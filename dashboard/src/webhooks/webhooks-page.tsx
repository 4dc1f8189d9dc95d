import type { Webhook, WebhookPage } from '@relive/types'
import { useEffect, useState } from 'react'

import { request } from '../api/http'
import type { PageOptions } from '../app/more-address'
import { adjustOptions } from '../app/place'
import { useText } from '../i18n/text'
import { DeleteButton } from '../more/delete-button'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { reasonOf } from '../session/steering'
import { catalog, loadCatalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { Icon } from '../ui/icon'
import { showNotice } from '../ui/notices'
import { Deliveries } from './deliveries'
import { WebhookDialog } from './webhook-dialog'

/** The webhooks of the project, and what was sent to the chosen one. */
export function WebhooksPage({ options }: { options: PageOptions }) {
  const m = useMoreText()
  const { entries, error, hasMore, more, reload } = usePaged<WebhookPage, Webhook>('/webhooks', (page) => page.webhooks)
  const [edited, setEdited] = useState<Webhook | 'new'>()
  const chosen = entries?.find(({ id }) => id === options['id']) ?? entries?.[0]
  useEffect(() => void loadCatalog(), [])
  return (
    <PageFrame
      title={m.webhooks}
      error={error}
      actions={
        <button type="button" className="primary" onClick={() => setEdited('new')}>
          <Icon name="plus" />
          {m.newWebhook}
        </button>
      }
    >
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.webhooks}>
        <div className="card scroll" tabIndex={0} role="region" aria-label={m.tableOf(m.webhooks)}>
          <table className="plain">
            <thead>
              <tr>
                <th scope="col">{m.address}</th>
                <th scope="col">{m.events}</th>
                <th scope="col">{m.filter}</th>
                <th scope="col">{m.state}</th>
                <th scope="col">
                  <span className="visually-hidden">{m.actions}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {entries?.map((webhook) => (
                <Row
                  key={webhook.id}
                  webhook={webhook}
                  isChosen={webhook === chosen}
                  onEdit={() => setEdited(webhook)}
                  onChange={reload}
                />
              ))}
            </tbody>
          </table>
          {entries?.length === 0 && <p className="empty">{m.noWebhooks}</p>}
          {entries === undefined && error === undefined && <p className="empty">{m.reading}</p>}
          {hasMore && (
            <button type="button" className="quiet" onClick={more}>
              {m.moreRows}
            </button>
          )}
        </div>
        {chosen !== undefined && <Deliveries key={chosen.id} webhook={chosen} status={options['status'] ?? ''} />}
      </div>
      {edited !== undefined && (
        <WebhookDialog
          webhook={edited === 'new' ? undefined : edited}
          onSaved={(id) => {
            adjustOptions({ id })
            reload()
          }}
          onClose={() => setEdited(undefined)}
        />
      )}
    </PageFrame>
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
  const { id, url, types, filter, enabled, disabledReason } = webhook
  const [isBusy, setBusy] = useState(false)
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
      <th scope="row">
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
        <FilterText webhook={webhook} />
      </td>
      <td>
        <span className={enabled ? 'good' : 'bad'}>{enabled ? m.on : m.off}</span>
        {disabledReason !== undefined && <p className="bad small">{disabledReason}</p>}
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
          <button type="button" aria-label={m.editOf(url)} onClick={onEdit}>
            {m.edit}
          </button>
          <DeleteButton name={url} path={`/webhooks/${id}`} consequence={m.deleteWebhook} onDeleted={onChange} />
        </span>
      </td>
    </tr>
  )
}

function FilterText({ webhook: { filter = {} } }: { webhook: Webhook }) {
  const t = useText()
  const m = useMoreText()
  const { workflows, groups } = useStore(catalog, (state) => state)
  const named = (all: readonly { id: string; name: string }[], id: string) =>
    all.find((entry) => entry.id === id)?.name ?? `…${id.slice(-8)}`
  const parts = [
    filter.workflowId !== undefined && `${t.workflow}: ${named(workflows, filter.workflowId)}`,
    filter.groupId !== undefined && `${t.group}: ${named(groups, filter.groupId)}`,
    filter.tag !== undefined && `${m.tag}: ${filter.tag}`,
  ].filter((part) => part !== false)
  return <>{parts.length === 0 ? m.any : parts.join(', ')}</>
}
